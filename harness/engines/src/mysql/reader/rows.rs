//! A connection that reads, and the rows that it reads.

use model::verify::digest::{Field, RowBytes, RowsDigest};
use model::verify::reader::Unreadable;
use mysql_async::prelude::FromValue;
use mysql_async::{Error as MysqlError, Row, Value};

use crate::mysql::connection::{Address, Connection, column, reason};
use crate::mysql::flavour::Flavour;

/// Statement that makes a connection unable to write.
const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";
/// Error codes of the server for a damaged table or index: an incorrect key file, a table marked as crashed (two
/// codes), a corrupted index, a missing tablespace, a corrupted table.
const MALFORMED: [u16; 6] = [1034, 1194, 1195, 1712, 1812, 1877];

/// A read-only connection.
pub(super) struct Reader {
    connection: Connection,
    /// Which server it is.
    pub(super) flavour: &'static Flavour,
}

impl Reader {
    /// Connects to a server.
    pub(super) fn connect(flavour: &'static Flavour, address: &Address) -> Result<Reader, Unreadable> {
        let unreachable =
            |error: machine::error::Error| Unreadable { reason: error.to_string(), malformed: false };
        let mut connection = Connection::connect(address).map_err(unreachable)?;
        for sql in [READ_ONLY].into_iter().chain(flavour.fresh_statistics) {
            connection.execute(sql).while_reading("the server")?;
        }
        Ok(Reader { connection, flavour })
    }

    /// Each row of a query, converted by `read`.
    pub(super) fn rows<T>(
        &mut self,
        sql: &str,
        what: &str,
        read: impl Fn(&Row) -> anyhow::Result<T>,
    ) -> Result<Vec<T>, Unreadable> {
        let rows = self.connection.query(sql).while_reading(what)?;
        rows.iter().map(|row| read(row).map_err(|error| unexpected(what, &error))).collect()
    }

    /// Passes each row of a query to `visit`, until that returns false.
    pub(super) fn stream(
        &mut self,
        sql: &str,
        what: &str,
        visit: impl FnMut(Row) -> bool,
    ) -> Result<(), Unreadable> {
        self.connection.stream(sql, visit).while_reading(what)
    }

    /// The digest of the rows of a query.
    pub(super) fn digest(&mut self, sql: &str, what: &str) -> Result<RowsDigest, Unreadable> {
        let mut digest = RowsDigest::default();
        let mut bytes = RowBytes::default();
        self.stream(sql, what, |row| {
            bytes.clear();
            (0..row.len()).for_each(|column| bytes.push(value(&row, column)));
            digest.add(&bytes);
            true
        })?;
        Ok(digest)
    }
}

/// A result that the server should not have returned.
pub(super) fn unexpected(what: &str, error: &anyhow::Error) -> Unreadable {
    Unreadable { reason: format!("{what}: {error:#}"), malformed: false }
}

/// A column of a row as text.
pub(super) fn text(row: &Row, index: usize) -> anyhow::Result<String> {
    column(row, index)
}

/// A column of a row that may be null.
pub(super) fn optional<T: FromValue>(row: &Row, index: usize) -> anyhow::Result<Option<T>> {
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
pub(super) fn value(row: &Row, index: usize) -> Field<'_> {
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
