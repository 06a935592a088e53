//! How the checks read SQLite databases.

mod check;
mod connection;
mod content;
mod file;
mod header;
mod indexes;
mod order;
mod private;
mod references;
mod tokens;
mod virtual_tables;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;

use anyhow::anyhow;
use model::dataset::TableNames;
use model::verify::Level;
use model::verify::condition::Condition;
use model::verify::content::Tables;
use model::verify::findings::Findings;
use model::verify::integrity::IndexEntries;
use model::verify::reader::{DatabaseReader, Effort, RawTorrent, Unreadable};
use rusqlite::Connection;

use self::connection::{PageMemory, WhileReading, field, open};
pub(super) use self::file::{journals, surplus_bytes};
pub(super) use self::references::broken_references;

/// Rows are counted in batches of this many.
const COUNT_EVERY: u64 = 4096;

/// The file of a database that no other process has open.
pub struct SqliteFile<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Names of the tables that the workload writes to.
    pub names: TableNames,
}

impl SqliteFile<'_> {
    fn open(&self, memory: PageMemory, what: &str) -> Result<Connection, Unreadable> {
        open(self.path, memory).while_reading(what)
    }
}

impl DatabaseReader for SqliteFile<'_> {
    fn look(&self, integrity: &mut Findings) -> bool {
        file::judge_file(self.path, integrity)
    }

    fn require_settled(&self) -> anyhow::Result<()> {
        for journal in journals(self.path) {
            // Its content would be ignored.
            if journal.metadata().is_ok_and(|metadata| metadata.len() > 0) {
                return Err(anyhow!("{} was left next to the source", journal.display()));
            }
        }
        Ok(())
    }

    fn effort(&self, integrity: Level, rows: u64) -> Effort {
        // Measured steps of the engine's virtual machine per row.
        match integrity {
            Level::Full => Effort { steps: rows * 15, share_of_time: 0.9 },
            Level::Fast => Effort { steps: rows * 7, share_of_time: 0.3 },
        }
    }

    fn check(&self, integrity: Level, steps: &AtomicU64) -> Result<Condition, Unreadable> {
        let memory = match integrity {
            Level::Full => PageMemory::LOOKUP,
            Level::Fast => PageMemory::SCAN,
        };
        let connection = self.open(memory, "the engine's check")?;
        scope(|scope| {
            if integrity == Level::Fast {
                scope.spawn(|| file::read_ahead(self.path));
            }
            let mut condition = check::run(integrity, &connection, steps)?;
            condition.absorb(virtual_tables::check(&connection, self.path)?);
            Ok(condition)
        })
    }

    fn tables(&self) -> Result<Tables, Unreadable> {
        content::read_tables(self.path, &self.open(PageMemory::SCAN, "the tables")?, self.names)
    }

    fn have_same_meaning(&self, one: &str, other: &str) -> bool {
        tokens::same_meaning(one, other)
    }

    fn has_exact_sequence(&self) -> bool {
        true
    }

    fn indexes(&self) -> Result<Vec<IndexEntries>, Unreadable> {
        indexes::read(&|| self.open(PageMemory::SCAN, "the indexes"), self.names.torrents)
    }

    fn torrents(
        &self,
        ids: &RangeInclusive<i64>,
        rows_read: &AtomicU64,
        visit: &mut dyn FnMut(&RawTorrent<'_>) -> bool,
    ) -> Result<(), Unreadable> {
        let what = format!("table {}", self.names.torrents);
        let connection = self.open(PageMemory::SCAN, &what)?;
        read_torrents(&connection, self.names.torrents, ids, rows_read, visit).while_reading(&what)
    }
}

fn read_torrents(
    connection: &Connection,
    table: &str,
    ids: &RangeInclusive<i64>,
    rows_read: &AtomicU64,
    visit: &mut dyn FnMut(&RawTorrent<'_>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!(
        "SELECT id, info_hash, completed FROM {table} NOT INDEXED WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
    ))?;
    let mut rows = statement.query([ids.start(), ids.end()])?;
    let mut uncounted = 0;
    while let Some(row) = rows.next()? {
        let torrent = RawTorrent {
            id: field(row.get_ref(0)?),
            info_hash: field(row.get_ref(1)?),
            completed: field(row.get_ref(2)?),
        };
        if !visit(&torrent) {
            break;
        }
        uncounted += 1;
        if uncounted == COUNT_EVERY {
            rows_read.fetch_add(uncounted, Ordering::Relaxed);
            uncounted = 0;
        }
    }
    rows_read.fetch_add(uncounted, Ordering::Relaxed);
    Ok(())
}
