//! Evaluates the model for one load.

use serde::Serialize;

use super::contender::Contender;
use super::line::{Line, beyond};
use super::range::Range;
use crate::advise::expected_seconds;

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
        (Some(min), Some(max)) => beyond(load.rate, *min, *max),
        _ => 1.0,
    };
    Prediction {
        backup,
        blocked: at_size(&contender.blocked),
        recovery: at_size(&contender.recovery),
        artifact: at_size(&contender.artifact),
        loss_expected,
        loss_worst,
        bytes_factor: beyond(load.bytes, least, most),
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
