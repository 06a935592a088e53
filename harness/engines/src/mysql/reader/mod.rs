//! How the checks read databases of servers.

mod content;
mod indexes;
mod rows;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use model::verify::Level;
use model::verify::condition::Condition;
use model::verify::content::Tables;
use model::verify::findings::Findings;
use model::verify::integrity::IndexEntries;
use model::verify::reader::{DatabaseReader, Effort, RawTorrent, Unreadable};

use self::rows::{Reader, text, value};
use super::connection::{Address, quoted};
use super::flavour::Flavour;

/// Rows are counted in batches of this many.
const COUNT_EVERY: u64 = 4096;

/// A database of a running server.
pub struct ServerReader<'a> {
    /// Which server it is.
    pub flavour: &'static Flavour,
    /// Where it listens.
    pub address: &'a Address,
}

impl ServerReader<'_> {
    fn connect(&self) -> Result<Reader, Unreadable> {
        Reader::connect(self.flavour, self.address)
    }
}

impl DatabaseReader for ServerReader<'_> {
    fn look(&self, _integrity: &mut Findings) -> bool {
        // If the server does not answer, each check reports why.
        true
    }

    fn require_settled(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn effort(&self, integrity: Level, _rows: u64) -> Effort {
        // The server does not report its progress.
        match integrity {
            Level::Full => Effort { steps: 1, share_of_time: 0.3 },
            Level::Fast => Effort { steps: 1, share_of_time: 0.1 },
        }
    }

    fn check(&self, integrity: Level, steps: &AtomicU64) -> Result<Condition, Unreadable> {
        let mut reader = self.connect()?;
        let mut condition = Condition::default();
        for table in content::base_tables(&mut reader)? {
            let messages = check_table(&mut reader, &table, integrity)?;
            messages.into_iter().for_each(|message| condition.wrong(message));
        }
        steps.store(1, Ordering::Relaxed);
        Ok(condition)
    }

    fn have_same_meaning(&self, one: &str, other: &str) -> bool {
        // The server generates the text itself.
        one == other
    }

    fn tables(&self) -> Result<Tables, Unreadable> {
        content::read_tables(&mut self.connect()?)
    }

    fn has_exact_sequence(&self) -> bool {
        // Transactions that were rolled back have used ids as well.
        false
    }

    fn indexes(&self) -> Result<Vec<IndexEntries>, Unreadable> {
        indexes::read_indexes(&mut self.connect()?)
    }

    fn torrents(
        &self,
        ids: &RangeInclusive<i64>,
        rows_read: &AtomicU64,
        visit: &mut dyn FnMut(&RawTorrent<'_>) -> bool,
    ) -> Result<(), Unreadable> {
        let (first, last) = (ids.start(), ids.end());
        let sql = format!(
            "SELECT id, info_hash, completed FROM torrents FORCE INDEX (PRIMARY) \
             WHERE id BETWEEN {first} AND {last} ORDER BY id"
        );
        let mut uncounted = 0;
        let ended = self.connect()?.stream(&sql, "table torrents", |row| {
            uncounted += 1;
            if uncounted == COUNT_EVERY {
                rows_read.fetch_add(uncounted, Ordering::Relaxed);
                uncounted = 0;
            }
            visit(&RawTorrent { id: value(&row, 0), info_hash: value(&row, 1), completed: value(&row, 2) })
        });
        rows_read.fetch_add(uncounted, Ordering::Relaxed);
        ended
    }
}

/// The server's messages about one table; empty when it is intact.
fn check_table(reader: &mut Reader, table: &str, integrity: Level) -> Result<Vec<String>, Unreadable> {
    let how = match integrity {
        Level::Full => reader.flavour.full_check,
        Level::Fast => "QUICK",
    };
    let sql = format!("CHECK TABLE {} {how}", quoted(table));
    let lines = reader.rows(&sql, &sql, |row| {
        // Columns: table, operation, kind of message, message.
        Ok((text(row, 2)?, text(row, 3)?))
    })?;
    if lines.is_empty() {
        return Err(Unreadable { reason: format!("{sql} returned nothing"), malformed: false });
    }
    let wrong = lines.into_iter().filter(|line| *line != ("status".to_owned(), "OK".to_owned()));
    Ok(wrong.map(|(kind, message)| format!("CHECK TABLE {table}: {kind}: {message}")).collect())
}
