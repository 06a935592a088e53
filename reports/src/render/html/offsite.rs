//! The section on artifacts that left the machine.

use crate::printable;
use crate::record::Trial;
use crate::render::offsite::{self, LEGEND};
use crate::render::table::Table;

/// The content of the section.
pub(super) struct OffsiteSection {
    pub legend: &'static str,
    /// Each table with its title.
    pub tables: [(&'static str, PlainTable); 2],
}

/// A table as texts.
pub(super) struct PlainTable {
    pub columns: Vec<String>,
    /// Each cell with its class.
    pub rows: Vec<Vec<(&'static str, String)>>,
}

/// The section on artifacts that left the machine; `None` when none did.
pub(super) fn of(trials: &[Trial]) -> Option<OffsiteSection> {
    let found = offsite::offsite(trials)?;
    let tables = [
        ("Time to publish and to recover", plain(&found.summary)),
        ("Each stage on the way out and back", plain(&found.stages)),
    ];
    Some(OffsiteSection { legend: LEGEND, tables })
}

fn plain(table: &Table) -> PlainTable {
    let class = |is_number: bool| if is_number { "number" } else { "" };
    let classes = || table.columns.iter().map(|column| class(column.is_number));
    let rows = table.rows().map(|row| classes().zip(row.iter().map(|cell| printable(&cell.text))).collect());
    PlainTable {
        columns: table.columns.iter().map(|column| column.label.clone()).collect(),
        rows: rows.collect(),
    }
}
