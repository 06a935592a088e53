//! The figures of a comparison: their meaning, how they are read from a record, and in which unit they are shown.

use crate::record::{Trial, Window};
use crate::render::family::Family;
use crate::render::number;

/// The quantity that a figure measures, which decides its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// A time, read in seconds.
    Seconds,
    /// A latency, read and shown in milliseconds.
    Milliseconds,
    /// A size, read in bytes.
    Bytes,
    /// A number without a unit.
    Ratio,
    /// A count.
    Count,
}

/// Which values of a figure are better, where any are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
    /// Neither: the figure only describes.
    Neither,
}

/// A figure of a trial: one column of the comparison.
#[derive(Clone, Copy)]
pub(super) struct Figure {
    /// Its name in the page's script.
    pub key: &'static str,
    /// The column's header.
    pub label: &'static str,
    /// Its meaning in a sentence.
    pub meaning: &'static str,
    pub quantity: Quantity,
    pub better: Better,
    /// Its value of one trial; `None` where it was not measured.
    pub value: fn(&Trial) -> Option<f64>,
}

/// The main figures.
pub(super) const FIRST: [Figure; 5] = [
    Figure {
        key: BACKUP,
        label: "Backup",
        meaning: "Time from the call until the backup was durable.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| trial.backup.as_ref()?.seconds,
    },
    Figure {
        key: "blocked",
        label: "Blocked",
        meaning: "Time during the backup in which no write could be acknowledged, in total.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| trial.impact.as_ref()?.blocked_seconds,
    },
    Figure {
        key: LOSS,
        label: "Loss",
        meaning: "Data loss at backup completion (RPO floor): how old the newest write in the backup is at the moment \
                  the backup is complete. For continuous replication: data loss at the disaster.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| floor_seconds(trial).or_else(|| lag_seconds(trial)),
    },
    Figure {
        key: "recovery",
        label: "Recovery",
        meaning: "Recovery time (RTO, measured): from the disaster until one read and one write were answered.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| trial.restore.as_ref()?.recovery_seconds,
    },
    Figure {
        key: "size",
        label: "Size",
        meaning: "Size of the parts of the backup that a restore needs.",
        quantity: Quantity::Bytes,
        better: Better::Lower,
        value: |trial| Some(trial.backup.as_ref()?.artifact_bytes? as f64),
    },
];

/// The figure that shows for a failed backup how long it ran.
pub(super) const BACKUP: &str = "backup";
/// The figure that is measured either at backup completion or at the disaster.
pub(super) const LOSS: &str = "loss";
/// The figures that are based on a number of writes.
pub(super) const PERCENTILES: [&str; 2] = ["p99_baseline", "p99_during"];

/// The figures that a reader can add.
pub(super) const MORE: [Figure; 15] = [
    Figure {
        key: "copy_speed",
        label: "Copy speed",
        meaning: "Time of a plain cp and fsync right before the backup, divided by the backup time: 1.0 is as fast \
                  as cp.",
        quantity: Quantity::Ratio,
        better: Better::Higher,
        value: |trial| trial.backup.as_ref()?.vs_copy,
    },
    Figure {
        key: "max_baseline",
        label: "Max write latency, baseline",
        meaning: "Longest latency of a write before the backup began, counted from when the write was due.",
        quantity: Quantity::Milliseconds,
        better: Better::Neither,
        value: |trial| baseline(trial)?.max_ms,
    },
    Figure {
        key: "max_during",
        label: "Max write latency, during backup",
        meaning: "Longest latency of a write during the backup, counted from when the write was due.",
        quantity: Quantity::Milliseconds,
        better: Better::Lower,
        value: max_latency_ms,
    },
    Figure {
        key: PERCENTILES[0],
        label: "p99 write latency, baseline",
        meaning: "99 % of the writes before the backup had at most this latency.",
        quantity: Quantity::Milliseconds,
        better: Better::Neither,
        value: |trial| baseline(trial)?.p99_ms,
    },
    Figure {
        key: PERCENTILES[1],
        label: "p99 write latency, during backup",
        meaning: "99 % of the writes during the backup had at most this latency.",
        quantity: Quantity::Milliseconds,
        better: Better::Lower,
        value: |trial| during(trial)?.p99_ms,
    },
    Figure {
        key: "longest_blocked",
        label: "Longest blocked",
        meaning: "The longest single time in which no write could be acknowledged.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| trial.impact.as_ref()?.longest_blocked_seconds,
    },
    Figure {
        key: "downtime",
        label: "Downtime",
        meaning: "The part of the blocked time in which the application was stopped on purpose.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| trial.impact.as_ref()?.downtime_seconds,
    },
    Figure {
        key: "loss_at_disaster",
        label: "Loss at disaster",
        meaning: "Data loss at the disaster: the loss at completion plus the time that the scenario waits.",
        quantity: Quantity::Seconds,
        better: Better::Neither,
        value: lag_seconds,
    },
    Figure {
        key: "lost_writes",
        label: "Lost writes at disaster",
        meaning: "Acknowledged writes that the restored database lacks.",
        quantity: Quantity::Count,
        better: Better::Neither,
        value: |trial| Some(trial.recovery_point.as_ref()?.lost_writes as f64),
    },
    Figure {
        key: "restarts",
        label: "Restarts",
        meaning: "Number of times that the backup restarted from the beginning.",
        quantity: Quantity::Count,
        better: Better::Neither,
        value: |trial| Some(trial.backup.as_ref()?.restarts? as f64),
    },
    Figure {
        key: "cpu",
        label: "CPU",
        meaning: "CPU time of the strategy's processes, in backup and restore.",
        quantity: Quantity::Seconds,
        better: Better::Lower,
        value: |trial| trial.resources.strategy.cpu_seconds,
    },
    Figure {
        key: "memory",
        label: "Memory",
        meaning: "Peak resident memory of the largest process of the strategy.",
        quantity: Quantity::Bytes,
        better: Better::Lower,
        value: |trial| Some(trial.resources.strategy.memory_bytes_max? as f64),
    },
    Figure {
        key: "read",
        label: "Read from disk",
        meaning: "Bytes that were read from disk for the strategy's processes during the backup.",
        quantity: Quantity::Bytes,
        better: Better::Neither,
        value: |trial| Some(trial.backup.as_ref()?.bytes_read_from_disk? as f64),
    },
    Figure {
        key: "written",
        label: "Written (logical)",
        meaning: "Bytes that the strategy's processes passed to write calls during the backup.",
        quantity: Quantity::Bytes,
        better: Better::Neither,
        value: |trial| Some(trial.backup.as_ref()?.bytes_written? as f64),
    },
    Figure {
        key: "written_to_disk",
        label: "Written to disk",
        meaning: "The part of the written bytes that the kernel had sent to a disk by the end of the backup.",
        quantity: Quantity::Bytes,
        better: Better::Neither,
        value: |trial| Some(trial.backup.as_ref()?.bytes_written_to_disk? as f64),
    },
];

/// Data loss at backup completion. Continuous replication has no such figure, because it keeps replicating after that
/// moment. Older records have the age of the newest write at completion instead, which is nearly the same.
pub(super) fn floor_seconds(trial: &Trial) -> Option<f64> {
    let point = trial.recovery_point.as_ref().filter(|_| Family::of_trial(trial) != Family::Continuous)?;
    point.lost_seconds_at_completion.or(point.staleness_at_completion_seconds)
}

/// Data loss at the disaster.
pub(super) fn lag_seconds(trial: &Trial) -> Option<f64> {
    trial.recovery_point.as_ref()?.lost_seconds
}

/// The longest write latency during the backup.
pub(super) fn max_latency_ms(trial: &Trial) -> Option<f64> {
    during(trial)?.max_ms
}

/// The number of writes that a percentile is based on.
pub(super) fn writes_behind(key: &str, trial: &Trial) -> Option<u64> {
    if key == PERCENTILES[0] { baseline(trial)?.writes } else { during(trial)?.writes }
}

fn baseline(trial: &Trial) -> Option<&Window> {
    trial.impact.as_ref()?.reference.as_ref()
}

fn during(trial: &Trial) -> Option<&Window> {
    trial.impact.as_ref()?.during.as_ref()
}

/// The unit of a column, in which all its values are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    /// Empty for quantities without a unit.
    pub name: &'static str,
    /// Values are divided by this number to convert them to the unit.
    divisor: f64,
}

impl Unit {
    /// The unit in which most of some values have few digits.
    pub(super) fn of(quantity: Quantity, values: &[f64]) -> Unit {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let unit = |name, divisor| Unit { name, divisor };
        match quantity {
            Quantity::Seconds if median > 18_000.0 => unit("h", 3600.0),
            Quantity::Seconds if median > 300.0 => unit("min", 60.0),
            Quantity::Seconds => unit("s", 1.0),
            Quantity::Milliseconds => unit("ms", 1.0),
            Quantity::Bytes if median >= 8.0 * 1024.0_f64.powi(3) => unit("GiB", 1024.0_f64.powi(3)),
            Quantity::Bytes => unit("MiB", 1024.0_f64.powi(2)),
            Quantity::Ratio | Quantity::Count => unit("", 1.0),
        }
    }

    /// A value in this unit, with three digits and at most three decimal places. Only an exact zero is shown as 0.
    pub(super) fn show(self, value: f64) -> String {
        let value = value / self.divisor;
        match value.abs() {
            0.0 => "0".to_string(),
            size if size < 0.0005 => "<0.001".to_string(),
            size if size < 0.9995 => format!("{value:.3}"),
            size if size < 9.995 => format!("{value:.2}"),
            size if size < 99.95 => format!("{value:.1}"),
            _ => number::count(value.round()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FIRST, MORE, Quantity, Unit};

    #[test]
    fn the_unit_fits_most_values() {
        assert_eq!(Unit::of(Quantity::Seconds, &[0.4, 1.2, 121.0]).name, "s");
        assert_eq!(Unit::of(Quantity::Seconds, &[0.4, 900.0, 1210.0]).name, "min");
        assert_eq!(Unit::of(Quantity::Bytes, &[1e8, 2e9]).name, "MiB");
        assert_eq!(Unit::of(Quantity::Bytes, &[1e10, 2e10]).name, "GiB");
        assert_eq!(Unit::of(Quantity::Count, &[]).name, "");
        let seconds = Unit::of(Quantity::Seconds, &[1.0]);
        let shown =
            [0.0, 1e-5, 0.00912, 0.418, 1.234, 15.57, 121.36, 45_000.0].map(|value| seconds.show(value));
        assert_eq!(shown, ["0", "<0.001", "0.009", "0.418", "1.23", "15.6", "121", "45,000"]);
    }

    #[test]
    fn each_figure_has_a_unique_key() {
        let mut keys: Vec<&str> = FIRST.iter().chain(&MORE).map(|figure| figure.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), FIRST.len() + MORE.len());
    }

    proptest! {
        #[test]
        fn only_zero_is_shown_as_zero(value in prop::num::f64::NORMAL) {
            let text = Unit::of(Quantity::Seconds, &[]).show(value);
            prop_assert!(text.chars().any(|digit| ('1'..='9').contains(&digit)), "{}", text);
        }
    }
}
