//! Databases of MySQL servers, as the checks read them.

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

/// What a connection is set to before it reads: it cannot write, and statistics are those of the moment.
const SETUP: &str = "SET SESSION transaction_read_only = ON, information_schema_stats_expiry = 0";
/// What the server says of a table or an index that is damaged: an incorrect key file, a table marked as crashed (two
/// codes), a corrupted index, a missing tablespace, a corrupted table.
const MALFORMED: [u16; 6] = [1034, 1194, 1195, 1712, 1812, 1877];
/// Rows are counted in lots of this many.
const COUNT_EVERY: u64 = 4096;

/// A database of a server that runs.
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
        // What keeps the server from answering is for each check to say.
        true
    }

    fn require_settled(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn effort(&self, integrity: Integrity, _rows: u64) -> Effort {
        // The server does not say how far it is.
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
        // The server writes the text itself.
        one == other
    }

    fn tables(&self) -> Result<Tables, Unreadable> {
        content::read_tables(&mut self.connect()?)
    }

    fn has_exact_sequence(&self) -> bool {
        // What was rolled back has used its ids up.
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

/// What the server says of one table: nothing when all is well.
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
        return Err(Unreadable { reason: format!("{sql} said nothing"), malformed: false });
    }
    let wrong = lines.into_iter().filter(|line| *line != ("status".to_owned(), "OK".to_owned()));
    Ok(wrong.map(|(kind, message)| format!("CHECK TABLE {table}: {kind}: {message}")).collect())
}

/// A connection that reads.
struct Reader(Server);

impl Reader {
    /// What `read` makes of each row that a query gives.
    fn rows<T>(
        &mut self,
        sql: &str,
        what: &str,
        read: impl Fn(&Row) -> anyhow::Result<T>,
    ) -> Result<Vec<T>, Unreadable> {
        let rows = self.0.query(sql).while_reading(what)?;
        rows.iter().map(|row| read(row).map_err(|error| unexpected(what, &error))).collect()
    }

    /// The digest of the rows that a query gives.
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

/// The column of a row whose value may be null.
fn optional<T: FromValue>(row: &Row, index: usize) -> anyhow::Result<Option<T>> {
    column(row, index)
}

/// Says what was being read when the server reported an error.
trait WhileReading<T> {
    /// Names what was being read.
    fn while_reading(self, what: &str) -> Result<T, Unreadable>;
}

impl<T> WhileReading<T> for mysql_async::Result<T> {
    fn while_reading(self, what: &str) -> Result<T, Unreadable> {
        self.map_err(|error| {
            let malformed = matches!(&error, MysqlError::Server(error) if MALFORMED.contains(&error.code));
            // A server that meets a damaged page ends itself, and one that is short of memory is ended: nothing that
            // it says from here tells one from the other.
            let broke_off = if error.is_fatal() { "the server broke off: " } else { "" };
            let reason = format!("{what}: {broke_off}{}", reason(&error));
            Unreadable { reason, malformed }
        })
    }
}

/// A column as the checks know it. Types that the tracker's schema does not have are nothing that a check would take
/// for right: the schema is compared too.
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
