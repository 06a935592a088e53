//! Sizing: what measured runs say about another size and rate, and which strategies meet given objectives there.
//!
//! [`fit`] makes a [`Model`] of runs, [`predict`] asks it one question, [`decide`] holds the answers against objectives,
//! and [`check`] measures how far predictions are off. A model is plain coefficients, so that a page can evaluate it, too.
//! The formulas and their limits: `docs/sizing.md`.

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

/// What runs say about sizes and rates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// The machines that the runs were made on. Times of several machines are mixed, and differ by more than chance.
    pub machines: Vec<String>,
    /// One entry for each strategy, with its settings, on one kind of subject.
    pub contenders: Vec<Contender>,
}

/// A strategy with its settings on one kind of subject, and how it grows. A line is absent where nothing was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contender {
    /// Strategy, variant, and what is different about its conditions; unique in the model.
    pub label: String,
    /// `sqlite` or `mysql`.
    pub engine: String,
    /// `embedded` or `tracker`.
    pub app: String,
    /// SQLite's journal mode; null for MySQL.
    pub journal_mode: Option<String>,
    /// The strategy's name.
    pub strategy: String,
    /// What tells its variants apart.
    pub variant: String,
    /// Whether the backup survives the loss of the database's disk; null where nobody can tell.
    pub survives_disk_loss: Option<bool>,
    /// `needs_downtime`, `online`, `continuous` or `same_disk`: what using it means for the operator.
    pub family: String,
    /// It replicates continuously: what is lost is its lag, whatever the interval between backups.
    pub continuous: bool,
    /// Ids of the trials that it was fitted from.
    pub trials: Vec<String>,
    /// The declared rates that were measured, in writes a second, ascending.
    pub rates: Vec<f64>,
    /// Seconds of a backup; null for what begins again with every commit.
    pub backup: Option<Line>,
    /// Seconds of one undisturbed pass; only for what begins again with every commit.
    pub pass: Option<Line>,
    /// Seconds in which no write could be acknowledged.
    pub blocked: Option<Line>,
    /// Seconds from the disaster until a read and a write were answered.
    pub recovery: Option<Line>,
    /// Bytes of the artifact.
    pub artifact: Option<Line>,
    /// Seconds of loss at backup completion; null for continuous replication.
    pub floor: Option<Line>,
    /// Seconds of loss at the disaster, over writes a second; only for continuous replication.
    pub lag: Option<Line>,
    /// What its trials came to, as far as they proved anything.
    pub outcomes: Vec<TrialOutcome>,
}

/// What one trial proved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialOutcome {
    /// The trial's id.
    pub trial: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Bytes of the database.
    pub bytes: f64,
    /// Declared writes a second.
    pub rate: f64,
    /// What the verdict rests on.
    pub reason: String,
    /// False when it was restorable.
    pub failed: bool,
}

/// The question: how large, how busy, how often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Bytes of the database.
    pub bytes: f64,
    /// Writes a second.
    pub rate: f64,
    /// From the beginning of a backup to the beginning of the next. Without one, a backup begins when the last has ended:
    /// the least loss that a strategy can promise.
    pub interval_seconds: Option<f64>,
}

/// A value with its 90 % interval. Infinity, which is null in JSON, stands for never.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The value itself.
    pub point: f64,
    /// One in twenty is below.
    pub low: f64,
    /// One in twenty is above.
    pub high: f64,
}

impl Range {
    /// Value and both ends, each computed from the same of two ranges.
    fn zip(self, other: Range, of: impl Fn(f64, f64) -> f64) -> Range {
        Range {
            point: of(self.point, other.point),
            low: of(self.low, other.low),
            high: of(self.high, other.high),
        }
    }
}

/// What is predicted of one contender under one load: seconds, and bytes of the artifact. Null: never measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Time of a backup.
    pub backup: Option<Range>,
    /// Blocked time.
    pub blocked: Option<Range>,
    /// Recovery time.
    pub recovery: Option<Range>,
    /// Bytes of the artifact.
    pub artifact: Option<Range>,
    /// Loss at a disaster that comes at any moment, on average.
    pub loss_expected: Option<Range>,
    /// Loss at a disaster that comes at the worst moment.
    pub loss_worst: Option<Range>,
    /// How many times beyond the measured sizes the load lies; 1 within.
    pub bytes_factor: f64,
    /// How many times beyond the measured rates.
    pub rate_factor: f64,
}

/// What the model says of a contender under a load.
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

/// A time beyond this is as good as never.
const NEVER_SECONDS: f64 = 365.25 * 86_400.0;
/// An exponential time is below this share of its mean once in twenty, -ln 0.95 ...
const EXPONENTIAL_5: f64 = 0.051_293_294_387_550_58;
/// ... and above this share once in twenty, -ln 0.05.
const EXPONENTIAL_95: f64 = 2.995_732_273_553_991;

/// The time of a backup that begins again with every commit. What comes on top of one pass is nearly exponential: many
/// attempts, each with the same small chance to be the last.
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
