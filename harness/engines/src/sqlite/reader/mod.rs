//! How the checks read SQLite databases.

mod check;
mod content;
mod file;
mod header;
mod indexes;
mod order;
mod private;
mod references;
mod tokens;
mod virtual_tables;

use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{ptr, slice};

use anyhow::anyhow;
use model::dataset::TableNames;
use model::verify::condition::Condition;
use model::verify::content::Tables;
use model::verify::digest::Field;
use model::verify::findings::Findings;
use model::verify::integrity::{IndexEntries, Integrity};
use model::verify::reader::{DatabaseReader, Effort, RawTorrent, Unreadable};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

pub(super) use references::broken_references;

/// Cache size of the engine's own check, which looks up every row in every index.
const CHECK_CACHE_BYTES: u64 = 2 << 30;
/// Cache size of a scan of a table.
const SCAN_CACHE_BYTES: u64 = 16 << 20;
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
    fn open(&self, cache_bytes: u64, what: &str) -> Result<Connection, Unreadable> {
        open(self.path, cache_bytes).while_reading(what)
    }
}

/// A value as the checks know it.
fn field(value: ValueRef<'_>) -> Field<'_> {
    match value {
        ValueRef::Null => Field::Null,
        ValueRef::Integer(number) => Field::Integer(number),
        ValueRef::Real(number) => Field::Real(number),
        ValueRef::Text(bytes) => Field::Text(bytes),
        ValueRef::Blob(bytes) => Field::Blob(bytes),
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

    fn effort(&self, integrity: Integrity, rows: u64) -> Effort {
        // Measured steps of the engine's virtual machine per row.
        match integrity {
            Integrity::Full => Effort { steps: rows * 15, share_of_time: 0.9 },
            Integrity::Quick => Effort { steps: rows * 7, share_of_time: 0.3 },
        }
    }

    fn check(&self, integrity: Integrity, steps: &AtomicU64) -> Result<Condition, Unreadable> {
        let connection = self.open(CHECK_CACHE_BYTES, "the engine's check")?;
        let mut condition = check::run(integrity, &connection, steps)?;
        condition.absorb(virtual_tables::check(&connection, self.path)?);
        Ok(condition)
    }

    fn tables(&self) -> Result<Tables, Unreadable> {
        content::read_tables(self.path, &self.open(SCAN_CACHE_BYTES, "the tables")?, self.names)
    }

    fn have_same_meaning(&self, one: &str, other: &str) -> bool {
        tokens::same_meaning(one, other)
    }

    fn has_exact_sequence(&self) -> bool {
        true
    }

    fn indexes(&self) -> Result<Vec<IndexEntries>, Unreadable> {
        indexes::read(&self.open(SCAN_CACHE_BYTES, "the indexes")?, self.names.torrents)
    }

    fn torrents(
        &self,
        ids: &RangeInclusive<i64>,
        rows_read: &AtomicU64,
        visit: &mut dyn FnMut(&RawTorrent<'_>) -> bool,
    ) -> Result<(), Unreadable> {
        let what = format!("table {}", self.names.torrents);
        let connection = self.open(SCAN_CACHE_BYTES, &what)?;
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

/// Adds to an error of the engine what was being read.
trait WhileReading<T> {
    /// Adds `what` to the error.
    fn while_reading(self, what: &str) -> Result<T, Unreadable>;
}

impl<T> WhileReading<T> for rusqlite::Result<T> {
    fn while_reading(self, what: &str) -> Result<T, Unreadable> {
        self.map_err(|error| Unreadable {
            reason: format!("{what}: {}", reason_of(&error)),
            malformed: is_malformed(&error),
        })
    }
}

/// The engine's message without the statement, which the user did not write.
fn reason_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

fn is_malformed(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Opens `database` read-only and immutable: no lock, no journal, no recovery, and no byte is changed.
///
/// `cache_bytes` limits the memory that the engine uses in addition to the mapped file.
fn open(database: &Path, cache_bytes: u64) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for &byte in database.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => write!(uri, "%{byte:02x}").expect("writing to a string cannot fail"),
        }
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    // The engine reduces this to its own maximum.
    connection.pragma_update(None, "mmap_size", i64::MAX)?;
    connection.pragma_update(None, "cache_size", -((cache_bytes / 1024) as i64))?;
    know_collations(&connection)?;
    Ok(connection)
}

/// Makes a connection accept any collation, as one that orders by bytes. Otherwise SQLite refuses to read tables and
/// indexes with a collation that only the application has, even if the order does not matter.
fn know_collations(connection: &Connection) -> rusqlite::Result<()> {
    // SAFETY: the handle is that of an open connection.
    let code = unsafe { ffi::sqlite3_collation_needed(connection.handle(), ptr::null_mut(), Some(stand_in)) };
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }
}

/// Called by the engine when it needs a collation that it does not have.
unsafe extern "C" fn stand_in(_: *mut c_void, handle: *mut ffi::sqlite3, _: c_int, name: *const c_char) {
    // SAFETY: the engine passes its own handle and name. On an error, the statement that needs the collation fails.
    unsafe {
        let order = Some(order_by_bytes as unsafe extern "C" fn(_, _, _, _, _) -> _);
        ffi::sqlite3_create_collation_v2(handle, name, ffi::SQLITE_UTF8, ptr::null_mut(), order, None);
    }
}

unsafe extern "C" fn order_by_bytes(
    _: *mut c_void,
    one_bytes: c_int,
    one: *const c_void,
    other_bytes: c_int,
    other: *const c_void,
) -> c_int {
    let text = |start: *const c_void, bytes: c_int| match bytes {
        0 => &[][..],
        // SAFETY: the engine passes a pointer to this number of bytes.
        bytes => unsafe { slice::from_raw_parts(start.cast::<u8>(), bytes as usize) },
    };
    text(one, one_bytes).cmp(text(other, other_bytes)) as c_int
}

/// How many bytes longer a database file is than its header says; negative when it is shorter.
///
/// # Errors
/// When its header cannot be read.
pub fn surplus_bytes(database: &Path) -> std::io::Result<i64> {
    file::surplus_bytes(database)
}

/// The files next to `database` in which SQLite keeps changes that are not in it yet.
pub(super) fn journals(database: &Path) -> [PathBuf; 2] {
    ["-journal", "-wal"].map(|suffix| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    })
}

/// A name as SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
