//! The comparison of a run as tables, for people and for programs.

pub(crate) mod measures;
mod raw;

use measures::{Measure, backup, details, latency, loss, p99, verdict};
pub use raw::raw;

use super::conditions::{self, Conditions};
use super::family::Family;
use super::table::{Cell, Column, Rank, Table};
use crate::compare::{Group, groups};
use crate::record::{Results, Trial};

/// A run with more rows than this gets one table for each dataset size, rate and subject.
const ROWS_IN_ONE_TABLE: usize = 12;

/// One table of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// How it differs from the other blocks; empty when it is the only one.
    pub title: String,
    /// The conditions that all its trials share.
    pub shared: String,
    /// A row for each group of repetitions, by [`Family`]. Columns with the rank [`Rank::Detail`] are details.
    pub table: Table,
}

/// The comparison of a run: one row for each group of repetitions, by dataset size, rate and subject. Where trials were
/// repeated, a cell is the median with the range.
pub fn comparison(results: &Results) -> Vec<Block> {
    let loss = loss(&results.trials);
    blocks(&results.trials).into_iter().map(|(title, rows)| block(title, &rows, loss)).collect()
}

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

fn block(title: String, groups: &[Group<'_>], loss: &'static Measure) -> Block {
    let trials: Vec<&Trial> = groups.iter().flat_map(|group| group.trials.iter().copied()).collect();
    let conditions = Conditions::of(&trials);
    let columns = columns(loss, groups.iter().any(|group| group.trials.len() > 1));
    let mut table = Table::new(columns.iter().map(|one| one.column.clone()).collect());
    let mut family = None;
    for group in groups {
        if family != Some(Family::of(group)) {
            family = Some(Family::of(group));
            table.begin_section(Family::of(group).title());
        }
        table.push(columns.iter().map(|one| (one.cell)(group, &conditions)).collect());
    }
    Block { title, shared: conditions.shared(), table: without_empty_details(&table) }
}

/// The table without detail columns that are empty in every row.
fn without_empty_details(table: &Table) -> Table {
    let is_filled = |label: &str| {
        let at = table.columns.iter().position(|column| column.label == label);
        at.is_some_and(|at| table.rows().any(|row| !row[at].value.is_null()))
    };
    table.select(|column| column.rank < Rank::Detail(0) || is_filled(&column.label))
}

struct Shown {
    column: Column,
    cell: CellOf,
}

type CellOf = Box<dyn Fn(&Group<'_>, &Conditions) -> Cell>;

fn columns(loss: &'static Measure, is_repeated: bool) -> Vec<Shown> {
    let text = |label, key, rank, cell: fn(&Group<'_>, &Conditions) -> Cell| Shown {
        column: Column::text(label, key, rank),
        cell: Box::new(cell),
    };
    let number = |label, key, rank, cell: fn(&Group<'_>, &Conditions) -> Cell| Shown {
        column: Column::number(label, key, rank),
        cell: Box::new(cell),
    };
    let measured = |measure: &'static Measure, rank| Shown {
        column: Column::number(measure.label, measure.key, rank),
        cell: Box::new(|group, _| measure.cell(group)),
    };
    let mut all = vec![
        text("Verdict", "verdict", Rank::Always, |group, _| verdict(group)),
        text("Strategy", "strategy", Rank::Always, |group, conditions| {
            conditions.row_name(group.first).into()
        }),
        number("Backup", "backup_seconds", Rank::Main(0), |group, _| backup(group)),
        measured(&measures::BLOCKED, Rank::Main(1)),
        measured(loss, Rank::Main(2)),
        measured(&measures::RECOVERY, Rank::Main(3)),
        measured(&measures::SIZE, Rank::Main(4)),
        text("Survives disk loss", "survives_disk_loss", Rank::Main(5), |group, _| {
            Cell::yes_or_no(group.first.survives_disk_loss)
        }),
    ];
    if is_repeated {
        all.push(number("Trials", "trials", Rank::Detail(1), |group, _| {
            Cell::count(group.trials.len() as u64)
        }));
    }
    all.extend([
        measured(&measures::COPY_SPEED, Rank::Detail(2)),
        number("Max write latency", "max_write_latency_during_ms", Rank::Detail(3), |group, _| {
            latency(group, |window| window.max_ms)
        }),
        number("p99 write latency", "p99_write_latency_during_ms", Rank::Detail(4), |group, _| p99(group)),
    ]);
    let further = details().filter(|measure| measure.key != loss.key).enumerate();
    all.extend(further.map(|(at, measure)| measured(measure, Rank::Detail(5 + at as u8))));
    all
}

#[cfg(test)]
mod tests;
