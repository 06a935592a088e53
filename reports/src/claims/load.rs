//! The load of a trial, as far as claims depend on it: the size of the database, and whether the application wrote.

use crate::record::Trial;
use crate::render::number;

/// From this size in bytes on, a trial is evidence for the claims about the 17 GB demo database.
pub(super) const DEMO_BYTES: u64 = 16_000_000_000;

/// The requested size of the dataset, in the unit in which it was requested.
pub(super) fn target_size(trial: &Trial) -> String {
    number::chosen_bytes(trial.dataset.target_bytes as f64)
}

/// True when the trial has a workload; a closed loop is one.
pub(super) fn has_writes(trial: &Trial) -> bool {
    trial.workload.writes_per_second.is_none_or(|rate| rate > 0.0)
}
