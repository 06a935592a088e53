//! Rows with foreign keys that refer to missing rows.

use std::collections::BTreeMap;
use std::path::Path;

use model::verify::reader::Unreadable;

use super::connection::{PageMemory, WhileReading, open};

/// One line for each pair of tables in which rows of one refer to rows that are missing in the other.
pub(crate) fn broken_references(database: &Path) -> Result<Vec<String>, Unreadable> {
    let what = "foreign_key_check";
    let connection = open(database, PageMemory::SCAN).while_reading(what)?;
    let count = || -> rusqlite::Result<BTreeMap<(String, String), u64>> {
        let mut broken = BTreeMap::new();
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            *broken.entry((row.get(0)?, row.get(2)?)).or_insert(0) += 1;
        }
        Ok(broken)
    };
    let line = |((table, parent), rows)| {
        format!("table {table}: {rows} rows refer to rows that {parent} does not have")
    };
    Ok(count().while_reading(what)?.into_iter().map(line).collect())
}
