//! The metrics that are compared between trials, and how much they may differ.

use serde::Serialize;

use crate::compare::Spread;
use crate::record::{Backup, RecoveryPoint, Trial};
use crate::render::number;

/// How values of a metric are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A time, as a multiple of the plain copy right before the backup. `floor_seconds`, or a tenth of a copy if that
    /// is more, is added to both sides, so that smaller differences do not count; with 0 nothing is added.
    Time { floor_seconds: f64 },
    /// A counter, which does not depend on how busy the machine is.
    Counter {
        /// Tolerated difference as a share of the baseline.
        share: f64,
        /// Tolerated difference in the unit of the counter. The larger of the two tolerances applies.
        absolute: f64,
        /// With this many repetitions or more, equal counts are not chance.
        repetitions: usize,
    },
}

/// A metric that is measured in each trial.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name in tables and files.
    pub name: &'static str,
    /// The unit of the values that are compared.
    pub unit: Unit,
    pub(super) kind: Kind,
    /// The measurement: seconds for times.
    measured: fn(&Trial) -> Option<f64>,
}

/// Units of values that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Multiples of the time of a plain copy of the same bytes.
    Copies,
    /// Bytes.
    Bytes,
    /// A count.
    Count,
}

impl Unit {
    /// The name in files for other programs.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Copies => "x plain copy",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
        }
    }

    /// A value with its unit, for people.
    pub(crate) fn shown(self, value: f64) -> String {
        match self {
            Unit::Copies => format!("{} copies", number::ratio(value)),
            Unit::Bytes => number::bytes(value),
            Unit::Count => number::count(value),
        }
    }
}

/// A difference of less than this many plain copies cannot be resolved.
const FLOOR_COPIES: f64 = 0.1;

const BYTES: Kind = Kind::Counter { share: 0.01, absolute: 65_536.0, repetitions: 3 };

/// All metrics that are compared, besides the verdict.
pub const METRICS: [Metric; 8] = [
    Metric {
        name: "backup time",
        unit: Unit::Copies,
        kind: Kind::Time { floor_seconds: 0.0 },
        measured: |trial| backup(trial)?.seconds,
    },
    Metric {
        name: "recovery time",
        unit: Unit::Copies,
        kind: Kind::Time { floor_seconds: 0.0 },
        measured: |trial| trial.restore.as_ref()?.recovery_seconds,
    },
    Metric {
        name: "blocked time",
        unit: Unit::Copies,
        kind: Kind::Time { floor_seconds: 0.1 },
        measured: |trial| completed(trial, trial.impact.as_ref()?.blocked_seconds),
    },
    Metric {
        name: "artifact",
        unit: Unit::Bytes,
        kind: BYTES,
        measured: |trial| completed(trial, backup(trial)?.artifact_bytes.map(|bytes| bytes as f64)),
    },
    Metric {
        name: "bytes read",
        unit: Unit::Bytes,
        kind: BYTES,
        measured: |trial| completed(trial, backup(trial)?.bytes_read.map(|bytes| bytes as f64)),
    },
    Metric {
        name: "bytes written",
        unit: Unit::Bytes,
        kind: BYTES,
        measured: |trial| completed(trial, backup(trial)?.bytes_written.map(|bytes| bytes as f64)),
    },
    Metric {
        name: "restarts",
        unit: Unit::Count,
        kind: Kind::Counter { share: 0.01, absolute: 1.0, repetitions: 3 },
        measured: |trial| completed(trial, backup(trial)?.restarts.map(|count| count as f64)),
    },
    Metric {
        name: "loss beyond the promise",
        unit: Unit::Count,
        // A broken promise does not depend on chance.
        kind: Kind::Counter { share: 0.0, absolute: 0.0, repetitions: 1 },
        measured: |trial| recovery_point(trial).map(|point| point.lost_promised_writes as f64),
    },
];

fn backup(trial: &Trial) -> Option<&Backup> {
    trial.backup.as_ref()
}

/// The recovery point, except of a control: a control promises to keep nothing.
fn recovery_point(trial: &Trial) -> Option<&RecoveryPoint> {
    trial.recovery_point.as_ref().filter(|_| !trial.control)
}

/// The value if the backup completed. The counters of a backup that was ended early say nothing.
fn completed(trial: &Trial, value: Option<f64>) -> Option<f64> {
    value.filter(|_| backup(trial).is_some_and(|backup| backup.seconds.is_some()))
}

impl Metric {
    /// The value that is compared: for times a multiple of the plain copy; `None` where it was not measured.
    pub fn value(&self, trial: &Trial) -> Option<f64> {
        let measured = (self.measured)(trial).filter(|value| value.is_finite());
        match self.kind {
            Kind::Time { .. } => Some(measured? / copy_seconds(trial)?),
            Kind::Counter { .. } => measured,
        }
    }

    /// The value that represents several repetitions: the worst where one repetition is enough for an answer, else
    /// the median.
    pub(super) fn representative(&self, spread: Spread) -> f64 {
        match self.kind {
            Kind::Counter { repetitions: 1, .. } => spread.max,
            _ => spread.median,
        }
    }

    /// True for a measured time whose copy baseline is missing.
    pub(super) fn lacks_copy_baseline(&self, trial: &Trial) -> bool {
        matches!(self.kind, Kind::Time { .. })
            && (self.measured)(trial).is_some()
            && copy_seconds(trial).is_none()
    }

    /// The value that is added to both sides before they are divided, in the unit of the values; `copy_seconds` is
    /// the time of a plain copy.
    pub(super) fn floor(&self, copy_seconds: f64) -> f64 {
        match self.kind {
            Kind::Time { floor_seconds: 0.0 } => 0.0,
            Kind::Time { floor_seconds } => FLOOR_COPIES.max(floor_seconds / copy_seconds),
            // Prevents a division by 0.
            Kind::Counter { absolute, .. } => absolute.max(1.0),
        }
    }
}

/// Seconds of the plain copy right before a trial's backup.
pub(super) fn copy_seconds(trial: &Trial) -> Option<f64> {
    backup(trial)?.copy_seconds.filter(|seconds| *seconds > 0.0 && seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::METRICS;
    use crate::example;
    use crate::record::Verdict::*;

    fn values(trial: &crate::record::Trial) -> Vec<Option<f64>> {
        METRICS.iter().map(|metric| metric.value(trial)).collect()
    }

    #[test]
    fn times_are_multiples_of_the_copy_and_what_never_completed_has_no_counters() {
        let mut trial = example::trial("one-step", Restorable);
        trial.backup.as_mut().unwrap().copy_seconds = Some(0.5);
        let mib = (300u64 << 20) as f64;
        assert_eq!(
            values(&trial),
            [Some(2.5), Some(2.8), Some(0.0), Some(mib), None, Some(mib), Some(0.0), Some(0.0)]
        );
        let stalled = example::restarting("shell", Stalled, 240);
        assert_eq!(values(&stalled), [None; 8]);
    }

    #[test]
    fn a_time_without_a_copy_baseline_is_not_compared() {
        let mut trial = example::trial("one-step", Restorable);
        trial.backup.as_mut().unwrap().copy_seconds = None;
        let lacking: Vec<&str> = METRICS
            .iter()
            .filter(|metric| metric.lacks_copy_baseline(&trial))
            .map(|metric| metric.name)
            .collect();
        assert_eq!(lacking, ["backup time", "recovery time", "blocked time"]);
        assert_eq!(values(&trial)[..3], [None; 3]);
    }

    #[test]
    fn blocked_time_has_a_floor_of_a_tenth_of_a_copy_and_of_a_tenth_of_a_second() {
        let blocked = METRICS[2];
        assert_eq!(blocked.floor(10.0), 0.1);
        assert_eq!(blocked.floor(0.25), 0.4);
        assert_eq!(METRICS[0].floor(0.25), 0.0);
    }
}
