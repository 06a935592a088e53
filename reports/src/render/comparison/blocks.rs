//! Which groups of trials share a table, and in which order.

use crate::compare::{Group, groups};
use crate::record::Trial;
use crate::render::conditions;
use crate::render::family::Family;

/// A run with more rows than this gets one table for each dataset size, rate and subject.
const ROWS_IN_ONE_TABLE: usize = 12;

/// The groups of each table, with its title.
pub(crate) fn blocks(trials: &[Trial]) -> Vec<(String, Vec<Group<'_>>)> {
    let mut groups = groups(trials);
    groups.sort_by_key(|group| (block_order(group.first), Family::of(group)));
    let split = groups.len() > ROWS_IN_ONE_TABLE;
    if !split {
        groups.sort_by_key(|group| Family::of(group));
    }
    let mut blocks: Vec<(String, Vec<Group<'_>>)> = groups
        .chunk_by(|a, b| !split || block_order(a.first) == block_order(b.first))
        .map(|rows| (title(rows[0].first), rows.to_vec()))
        .collect();
    if let [(title, _)] = blocks.as_mut_slice() {
        title.clear();
    }
    blocks
}

/// How a block differs from the others.
fn title(first: &Trial) -> String {
    [conditions::size(first), conditions::rate(first), conditions::subject(first)].join(", ")
}

/// The key that blocks are split and ordered by: size, rate (a closed loop last), application, engine and journal
/// mode.
fn block_order(trial: &Trial) -> (u64, u64, String) {
    // The bits of non-negative numbers have the same order as the numbers.
    let rate = trial.workload.writes_per_second.map_or(u64::MAX, |rate| rate.max(0.0).to_bits());
    (trial.dataset.target_bytes, rate, conditions::subject(trial))
}
