//! Opens a SQLite database for reading and never changes it.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Why something could not be read.
#[derive(Clone, Debug)]
pub(super) struct Unreadable {
    /// What was read and what came of it.
    pub(super) reason: String,
    /// The engine calls the file malformed: no obstacle to the checker, but damage.
    pub(super) malformed: bool,
}

impl Unreadable {
    /// The checker itself broke off.
    pub(super) fn crashed(what: &str) -> Unreadable {
        Unreadable { reason: format!("{what}: the checker crashed"), malformed: false }
    }
}

/// Says what was being read when the engine reported an error.
pub(super) trait WhileReading<T> {
    /// Names what was being read.
    fn while_reading(self, what: &str) -> Result<T, Unreadable>;
}

impl<T> WhileReading<T> for rusqlite::Result<T> {
    fn while_reading(self, what: &str) -> Result<T, Unreadable> {
        self.map_err(|error| {
            let code = error.sqlite_error_code();
            let malformed = matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
            Unreadable { reason: format!("{what}: {error}"), malformed }
        })
    }
}

/// Opens `database` read-only and immutable: no lock, no journal, no recovery, not one byte changed.
///
/// `cache_bytes` is the most that the engine may keep in memory apart from the mapped file.
pub(super) fn open(database: &Path, cache_bytes: u64) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for &byte in database.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => write!(uri, "%{byte:02x}").expect("a string takes everything"),
        }
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    // The engine cuts this to its own maximum.
    connection.pragma_update(None, "mmap_size", i64::MAX)?;
    connection.pragma_update(None, "cache_size", -((cache_bytes / 1024) as i64))?;
    Ok(connection)
}

/// The files beside `database` in which SQLite keeps what is not in it yet.
pub(super) fn journals(database: &Path) -> [PathBuf; 2] {
    ["-journal", "-wal"].map(|suffix| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    })
}

/// A name as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
