//! The comparison of a run as tables, for people and for programs.

mod blocks;
pub(crate) mod measures;
mod raw;

pub(crate) use blocks::blocks;
use measures::{Measure, backup, details, latency, loss, p99, verdict};
pub use raw::raw;

use super::conditions::Conditions;
use super::family::Family;
use super::table::{Cell, Column, Rank, Table};
use crate::compare::Group;
use crate::record::{Results, Trial};

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
