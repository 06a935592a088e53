//! Sizing: predictions from measured runs for another size and rate, and which strategies meet given objectives
//! there.
//!
//! [`fit`] makes a [`Model`] from runs, [`predict`] evaluates it for one load, [`decide`] compares the predictions
//! with objectives, and [`check`] measures the error of predictions. A model consists of plain coefficients, so that
//! the script of a page can evaluate it, too. The formulas and their limits are in `docs/sizing.md`.

pub mod check;
mod contender;
pub mod decide;
mod line;
#[cfg(test)]
mod tests;
pub mod text;

use serde::Serialize;

use crate::advise::expected_seconds;
use crate::record::Verdict;

pub use contender::fit;
pub use line::{Line, Point};

/// A model of how strategies behave at other sizes and rates, fitted to runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// The machines of the runs. Times of several machines are combined, although they differ by more than chance.
    pub machines: Vec<String>,
    /// One entry for each strategy, with its settings, on one kind of subject.
    pub contenders: Vec<Contender>,
}

/// A strategy with its settings on one kind of subject, and how its figures grow. A line is null where nothing was
/// measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contender {
    /// Strategy, variant, and the conditions that differ from those of others; unique in the model.
    pub label: String,
    /// `sqlite` or `mysql`.
    pub engine: String,
    /// `embedded` or `tracker`.
    pub app: String,
    /// SQLite's journal mode; null for MySQL.
    pub journal_mode: Option<String>,
    /// Name of the strategy.
    pub strategy: String,
    /// Name or settings of the variant.
    pub variant: String,
    /// Whether the backup survives the loss of the database's disk; null where this is not known.
    pub survives_disk_loss: Option<bool>,
    /// `needs_downtime`, `online`, `continuous` or `same_disk`: what using it means for the operator.
    pub family: String,
    /// True for continuous replication: the data loss is its lag, whatever the interval between backups.
    pub continuous: bool,
    /// Ids of the trials that it was fitted to.
    pub trials: Vec<String>,
    /// The declared rates that were measured, in writes per second, ascending.
    pub rates: Vec<f64>,
    /// Backup time in seconds; null where every commit restarts the backup.
    pub backup: Option<Line>,
    /// Time of one undisturbed pass in seconds; null unless every commit restarts the backup.
    pub pass: Option<Line>,
    /// Blocked time in seconds.
    pub blocked: Option<Line>,
    /// Recovery time in seconds.
    pub recovery: Option<Line>,
    /// Size of the artifact in bytes.
    pub artifact: Option<Line>,
    /// Data loss at backup completion (RPO floor) in seconds; null for continuous replication.
    pub floor: Option<Line>,
    /// Data loss at the disaster in seconds, over writes per second; null unless it replicates continuously.
    pub lag: Option<Line>,
    /// The results of its conclusive trials.
    pub outcomes: Vec<TrialOutcome>,
}

/// The result of one trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialOutcome {
    /// The trial's id.
    pub trial: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Size of the database in bytes.
    pub bytes: f64,
    /// Declared rate in writes per second.
    pub rate: f64,
    /// Reason for the verdict.
    pub reason: String,
    /// True unless the verdict is `restorable`.
    pub failed: bool,
}

/// The load that a prediction is for: size, rate, and interval between backups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Size of the database in bytes.
    pub bytes: f64,
    /// Writes per second.
    pub rate: f64,
    /// Seconds from the start of one backup to the start of the next. Without an interval, a backup starts when the
    /// last one has finished, which gives the smallest data loss that the strategy can have.
    pub interval_seconds: Option<f64>,
}

/// A value with its 90 % interval. Infinity, which is null in JSON, means never.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The predicted value.
    pub point: f64,
    /// Lower end: 5 % are below.
    pub low: f64,
    /// Upper end: 5 % are above.
    pub high: f64,
}

impl Range {
    /// Combines two ranges: value with value, and each end with the same end.
    fn zip(self, other: Range, of: impl Fn(f64, f64) -> f64) -> Range {
        Range {
            point: of(self.point, other.point),
            low: of(self.low, other.low),
            high: of(self.high, other.high),
        }
    }
}

/// The prediction for one contender at one load: seconds, and bytes for the artifact. Null where nothing was
/// measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Backup time.
    pub backup: Option<Range>,
    /// Blocked time.
    pub blocked: Option<Range>,
    /// Recovery time.
    pub recovery: Option<Range>,
    /// Size of the artifact.
    pub artifact: Option<Range>,
    /// Data loss on average, if the disaster happens at a random moment.
    pub loss_expected: Option<Range>,
    /// Data loss if the disaster happens at the worst moment.
    pub loss_worst: Option<Range>,
    /// The factor by which the size is outside the measured sizes; 1 within.
    pub bytes_factor: f64,
    /// The factor by which the rate is outside the measured rates; 1 within.
    pub rate_factor: f64,
}

/// The prediction of the model for a contender at a load.
pub fn predict(contender: &Contender, load: &Load) -> Prediction {
    let at_size = |line: &Option<Line>| line.as_ref().and_then(|line| line.predict(load.bytes));
    let backup = match &contender.pass {
        Some(pass) => pass.predict(load.bytes).map(|pass| restarting(pass, load.rate)),
        None => at_size(&contender.backup),
    };
    let (loss_expected, loss_worst) = if contender.continuous {
        let lag = contender.lag.as_ref().and_then(|lag| lag.predict(load.rate));
        (lag, lag.map(|lag| Range { point: lag.high, ..lag }))
    } else {
        let interval = load.interval_seconds.unwrap_or(0.0);
        let loss = |share: f64| {
            Some(
                backup?.zip(at_size(&contender.floor)?, |backup, floor| share * interval.max(backup) + floor),
            )
        };
        (loss(0.5), loss(1.0))
    };
    let sizes = || contender.outcomes.iter().map(|outcome| outcome.bytes);
    let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let rates = &contender.rates;
    let rate_factor = match (rates.first(), rates.last()) {
        (Some(min), Some(max)) => line::beyond(load.rate, *min, *max),
        _ => 1.0,
    };
    Prediction {
        backup,
        blocked: at_size(&contender.blocked),
        recovery: at_size(&contender.recovery),
        artifact: at_size(&contender.artifact),
        loss_expected,
        loss_worst,
        bytes_factor: line::beyond(load.bytes, least, most),
        rate_factor,
    }
}

/// A longer time counts as never.
const NEVER_SECONDS: f64 = 365.25 * 86_400.0;
/// 5 % quantile of an exponential distribution with mean 1: -ln 0.95.
const EXPONENTIAL_5: f64 = 0.051_293_294_387_550_58;
/// 95 % quantile of an exponential distribution with mean 1: -ln 0.05.
const EXPONENTIAL_95: f64 = 2.995_732_273_553_991;

/// The time of a backup that every commit restarts. The time in addition to one pass has nearly an exponential
/// distribution: there are many attempts, each with the same small chance of being the last.
fn restarting(pass: Range, rate: f64) -> Range {
    let completed = |pass: f64, share: f64| {
        let mean = expected_seconds(pass, rate).unwrap_or(f64::INFINITY);
        let seconds = pass + share * (mean - pass);
        if seconds > NEVER_SECONDS { f64::INFINITY } else { seconds }
    };
    Range {
        point: completed(pass.point, 1.0),
        low: completed(pass.low, EXPONENTIAL_5),
        high: completed(pass.high, EXPONENTIAL_95),
    }
}
