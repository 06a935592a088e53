//! How the checks read databases of MySQL servers.

mod content;
mod indexes;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use model::verify::condition::Condition;
use model::verify::content::Tables;
use model::verify::digest::{Field, RowBytes, RowsDigest};
use model::verify::findings::Findings;
use model::verify::integrity::{IndexEntries, Integrity};
use model::verify::reader::{DatabaseReader, Effort, RawTorrent, Unreadable};
use mysql_async::prelude::FromValue;
use mysql_async::{Error as MysqlError, Row, Value};

use crate::mysql::connection::{Address, Server, column, quoted, reason};

/// Settings of a connection before it reads: it cannot write, and gets current statistics.
const SETUP: &str = "SET SESSION transaction_read_only = ON, information_schema_stats_expiry = 0";
/// Error codes of the server for a damaged table or index: an incorrect key file, a table marked as crashed (two
/// codes), a corrupted index, a missing tablespace, a corrupted table.
const MALFORMED: [u16; 6] = [1034, 1194, 1195, 1712, 1812, 1877];
/// Rows are counted in batches of this many.
const COUNT_EVERY: u64 = 4096;

/// A database of a running server.
pub struct MysqlDatabase<'a>(pub &'a Address);

impl MysqlDatabase<'_> {
    fn connect(&self) -> Result<Reader, Unreadable> {
        let unreachable =
            |error: machine::error::Error| Unreadable { reason: error.to_string(), malformed: false };
        let mut server = Server::connect(self.0).map_err(unreachable)?;
        server.execute(SETUP).while_reading("the server")?;
        Ok(Reader(server))
    }
}

impl DatabaseReader for MysqlDatabase<'_> {
    fn look(&self, _integrity: &mut Findings) -> bool {
        // If the server does not answer, each check reports why.
        true
    }

    fn require_settled(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn effort(&self, integrity: Integrity, _rows: u64) -> Effort {
        // The server does not report its progress.
        match integrity {
            Integrity::Full => Effort { steps: 1, share_of_time: 0.3 },
            Integrity::Quick => Effort { steps: 1, share_of_time: 0.1 },
        }
    }

    fn check(&self, integrity: Integrity, steps: &AtomicU64) -> Result<Condition, Unreadable> {
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
        let ended = self.connect()?.0.stream(&sql, |row| {
            uncounted += 1;
            if uncounted == COUNT_EVERY {
                rows_read.fetch_add(uncounted, Ordering::Relaxed);
                uncounted = 0;
            }
            visit(&RawTorrent { id: value(&row, 0), info_hash: value(&row, 1), completed: value(&row, 2) })
        });
        rows_read.fetch_add(uncounted, Ordering::Relaxed);
        ended.while_reading("table torrents")
    }
}

/// The server's messages about one table; empty when it is intact.
fn check_table(reader: &mut Reader, table: &str, integrity: Integrity) -> Result<Vec<String>, Unreadable> {
    let how = match integrity {
        Integrity::Full => "EXTENDED",
        Integrity::Quick => "QUICK",
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

/// A read-only connection.
struct Reader(Server);

impl Reader {
    /// Each row of a query, converted by `read`.
    fn rows<T>(
        &mut self,
        sql: &str,
        what: &str,
        read: impl Fn(&Row) -> anyhow::Result<T>,
    ) -> Result<Vec<T>, Unreadable> {
        let rows = self.0.query(sql).while_reading(what)?;
        rows.iter().map(|row| read(row).map_err(|error| unexpected(what, &error))).collect()
    }

    /// The digest of the rows of a query.
    fn digest(&mut self, sql: &str, what: &str) -> Result<RowsDigest, Unreadable> {
        let mut digest = RowsDigest::default();
        let mut bytes = RowBytes::default();
        let ended = self.0.stream(sql, |row| {
            bytes.clear();
            (0..row.len()).for_each(|column| bytes.push(value(&row, column)));
            digest.add(&bytes);
            true
        });
        ended.while_reading(what)?;
        Ok(digest)
    }
}

fn unexpected(what: &str, error: &anyhow::Error) -> Unreadable {
    Unreadable { reason: format!("{what}: {error:#}"), malformed: false }
}

fn text(row: &Row, index: usize) -> anyhow::Result<String> {
    column(row, index)
}

/// A column of a row that may be null.
fn optional<T: FromValue>(row: &Row, index: usize) -> anyhow::Result<Option<T>> {
    column(row, index)
}

/// Adds to an error of the server what was being read.
trait WhileReading<T> {
    /// Adds `what` to the error.
    fn while_reading(self, what: &str) -> Result<T, Unreadable>;
}

impl<T> WhileReading<T> for mysql_async::Result<T> {
    fn while_reading(self, what: &str) -> Result<T, Unreadable> {
        self.map_err(|error| {
            let malformed = matches!(&error, MysqlError::Server(error) if MALFORMED.contains(&error.code));
            // A server exits when it reads a damaged page, and is killed when memory runs out. The error of the
            // connection does not show which of the two happened.
            let broke_off = if error.is_fatal() { "the connection to the server was lost: " } else { "" };
            let reason = format!("{what}: {broke_off}{}", reason(&error));
            Unreadable { reason, malformed }
        })
    }
}

/// A column in the type that the checks use. Types that the tracker's schema does not have cannot lead to a pass,
/// because the schema is compared too.
fn value(row: &Row, index: usize) -> Field<'_> {
    match row.as_ref(index) {
        None | Some(Value::NULL) => Field::Null,
        Some(Value::Int(number)) => Field::Integer(*number),
        Some(Value::UInt(number)) => {
            i64::try_from(*number).map_or(Field::Real(*number as f64), Field::Integer)
        }
        Some(Value::Bytes(bytes)) => Field::Text(bytes),
        Some(Value::Float(number)) => Field::Real(f64::from(*number)),
        Some(Value::Double(number)) => Field::Real(*number),
        Some(Value::Date(..) | Value::Time(..)) => Field::Blob(&[]),
    }
}
