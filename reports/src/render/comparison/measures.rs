//! The measurements of a strategy, and how cells show them.

use crate::compare::{Group, Spread};
use crate::record::{Backup, Impact, RecoveryPoint, Trial, Verdict, Window};
use crate::render::table::Cell;
use crate::render::{number, words};

/// A 99th percentile of fewer writes is based on fewer than ten of them.
pub(crate) const WRITES_FOR_P99: u64 = 1000;

/// The mark after such a percentile.
pub(crate) const FEW_WRITES: &str = "*";

/// One measurement of a trial.
pub(crate) struct Measure {
    /// The column's header.
    pub label: &'static str,
    /// Its name for programs, with the unit.
    pub key: &'static str,
    /// Its format for people.
    pub format: fn(f64) -> String,
    /// The measurement; `None` where it was not made.
    pub of: fn(&Trial) -> Option<f64>,
}

impl Measure {
    const fn new(
        label: &'static str,
        key: &'static str,
        format: fn(f64) -> String,
        of: fn(&Trial) -> Option<f64>,
    ) -> Measure {
        Measure { label, key, format, of }
    }

    /// Median and range over the repetitions.
    pub fn spread(&self, group: &Group<'_>) -> Option<Spread> {
        group.spread(self.of)
    }

    /// Median and range as a cell, with the median as its value.
    pub fn cell(&self, group: &Group<'_>) -> Cell {
        spread_cell(self.spread(group), group.trials.len(), self.format)
    }
}

pub(crate) const BACKUP: Measure =
    Measure::new("Backup", "backup_seconds", number::seconds, |trial| of_backup(trial)?.seconds);
pub(crate) const BLOCKED: Measure =
    Measure::new("Blocked", "blocked_seconds", number::seconds, |trial| of_impact(trial)?.blocked_seconds);
pub(crate) const RECOVERY: Measure = Measure::new("Recovery", "recovery_seconds", number::seconds, |trial| {
    trial.restore.as_ref()?.recovery_seconds
});
pub(crate) const SIZE: Measure =
    Measure::new("Size", "artifact_bytes", number::bytes, |trial| whole(of_backup(trial)?.artifact_bytes));
pub(crate) const COPY_SPEED: Measure =
    Measure::new("Copy speed", "copy_speed", number::ratio, |trial| of_backup(trial)?.vs_copy);
const LOSS_AT_COMPLETION: Measure =
    Measure::new("Loss", "lost_at_completion_seconds", number::seconds, |trial| {
        of_point(trial)?.lost_seconds_at_completion
    });
const LOSS_AT_DISASTER: Measure =
    Measure::new("Loss at disaster", "lost_at_disaster_seconds", number::seconds, |trial| {
        of_point(trial)?.lost_seconds
    });

/// The measurements that are shown as details, besides latencies, in this order.
const DETAILS: [Measure; 12] = [
    Measure::new("Longest blocked", "longest_blocked_seconds", number::seconds, |trial| {
        of_impact(trial)?.longest_blocked_seconds
    }),
    Measure::new("Downtime", "downtime_seconds", number::seconds, |trial| of_impact(trial)?.downtime_seconds),
    Measure::new("Writes lost", "lost_at_completion_writes", number::count, |trial| {
        whole(of_point(trial)?.lost_writes_at_completion)
    }),
    LOSS_AT_DISASTER,
    Measure::new("Writes lost at disaster", "lost_at_disaster_writes", number::count, |trial| {
        Some(of_point(trial)?.lost_writes as f64)
    }),
    Measure::new("Restore", "restore_seconds", number::seconds, |trial| trial.restore.as_ref()?.seconds),
    Measure::new("Memory", "strategy_memory_bytes", number::bytes, |trial| {
        whole(trial.resources.strategy.memory_bytes_max)
    }),
    Measure::new("CPU time", "strategy_cpu_seconds", number::seconds, |trial| {
        trial.resources.strategy.cpu_seconds
    }),
    Measure::new("Read", "backup_bytes_read", number::bytes, |trial| whole(of_backup(trial)?.bytes_read)),
    Measure::new("Written (logical)", "backup_bytes_written", number::bytes, |trial| {
        whole(of_backup(trial)?.bytes_written)
    }),
    Measure::new("Written to disk", "backup_bytes_written_to_disk", number::bytes, |trial| {
        whole(of_backup(trial)?.bytes_written_to_disk)
    }),
    Measure::new("Restarts", "restarts", number::count, |trial| whole(of_backup(trial)?.restarts)),
];

/// The measurements that are shown as details, besides latencies.
pub(crate) fn details() -> impl Iterator<Item = &'static Measure> {
    DETAILS.iter()
}

/// All measurements of a comparison, except latencies.
pub(crate) fn all() -> impl Iterator<Item = &'static Measure> {
    [&BACKUP, &BLOCKED, &LOSS_AT_COMPLETION, &RECOVERY, &SIZE, &COPY_SPEED].into_iter().chain(details())
}

/// The data loss that strategies are compared by: the loss at backup completion, which does not depend on how long
/// the scenario waits before the disaster. For records that are too old to have it, the loss at the disaster.
pub(crate) fn loss(trials: &[Trial]) -> &'static Measure {
    let is_known = trials.iter().any(|trial| (LOSS_AT_COMPLETION.of)(trial).is_some());
    if is_known || !trials.iter().any(|trial| (LOSS_AT_DISASTER.of)(trial).is_some()) {
        &LOSS_AT_COMPLETION
    } else {
        &LOSS_AT_DISASTER
    }
}

/// Whether [`loss`] is the loss at completion.
pub(crate) fn is_at_completion(measure: &Measure) -> bool {
    measure.key == LOSS_AT_COMPLETION.key
}

/// The worst verdict of the group, with the number of trials that have it, whether it was expected, and whether it
/// may be luck.
pub(crate) fn verdict(group: &Group<'_>) -> Cell {
    let verdict = group.verdict();
    let same = group.trials.iter().filter(|trial| trial.verdict == verdict).count();
    let mut text = words::verdict(verdict).to_owned();
    if same < group.trials.len() {
        text += &format!(" {same} of {}", group.trials.len());
    }
    text += &expectation(group.first, verdict);
    if group.is_right_by_luck() {
        text += ", not challenged";
    }
    Cell { text, value: verdict.name().into() }
}

/// Whether a verdict is what the scenario expects; empty without a special expectation.
fn expectation(trial: &Trial, verdict: Verdict) -> String {
    let names: Vec<&str> = trial.expected.iter().map(|verdict| words::verdict(*verdict)).collect();
    match (names.as_slice(), trial.expected.contains(&verdict)) {
        ([], _) | (["restorable"], true) => String::new(),
        (_, true) => ", as expected".to_string(),
        (_, false) => format!(", expected {}", names.join(" or ")),
    }
}

/// The time of the backups that finished. If none did, how long they ran.
pub(crate) fn backup(group: &Group<'_>) -> Cell {
    let finished = BACKUP.spread(group);
    if finished.is_some() {
        return BACKUP.cell(group);
    }
    let given = group.spread(|trial| Some(of_backup(trial)?.elapsed_seconds));
    let text = match given {
        Some(given) => format!("incomplete after {}", number::seconds(given.max)),
        None if group.verdict() == Verdict::Unavailable => "not run".to_string(),
        None => number::MISSING.to_string(),
    };
    Cell { text, value: serde_json::Value::Null }
}

/// A latency in the reference window and in the backup window: `2.50 ms → 8.00 ms`.
pub(crate) fn latency(group: &Group<'_>, of: fn(&Window) -> Option<f64>) -> Cell {
    let reference = group.spread(|trial| of(of_impact(trial)?.reference.as_ref()?));
    let during = group.spread(|trial| of(of_impact(trial)?.during.as_ref()?));
    let value = during.map_or(serde_json::Value::Null, |spread| spread.median.into());
    if reference.is_none() && during.is_none() {
        return Cell { text: number::MISSING.to_string(), value };
    }
    let median =
        |spread: Option<Spread>| number::or_missing(spread.map(|spread| spread.median), number::milliseconds);
    let during = number::spread(during, group.trials.len(), number::milliseconds);
    Cell { text: format!("{} → {during}", median(reference)), value }
}

/// The 99th percentile, marked where it is based on too few writes.
pub(crate) fn p99(group: &Group<'_>) -> Cell {
    let mut cell = latency(group, |window| window.p99_ms);
    let mut windows = group.trials.iter().filter_map(|trial| of_impact(trial)).flat_map(windows);
    let has_few = windows
        .any(|window| window.p99_ms.is_some() && window.writes.is_some_and(|writes| writes < WRITES_FOR_P99));
    if has_few {
        cell.text += FEW_WRITES;
    }
    cell
}

fn windows(impact: &Impact) -> impl Iterator<Item = &Window> {
    impact.reference.iter().chain(&impact.during)
}

fn spread_cell(spread: Option<Spread>, trials: usize, format: fn(f64) -> String) -> Cell {
    let value = spread.map_or(serde_json::Value::Null, |spread| spread.median.into());
    Cell { text: number::spread(spread, trials, format), value }
}

fn of_backup(trial: &Trial) -> Option<&Backup> {
    trial.backup.as_ref()
}

fn of_impact(trial: &Trial) -> Option<&Impact> {
    trial.impact.as_ref()
}

fn of_point(trial: &Trial) -> Option<&RecoveryPoint> {
    trial.recovery_point.as_ref()
}

fn whole(number: Option<u64>) -> Option<f64> {
    number.map(|number| number as f64)
}
