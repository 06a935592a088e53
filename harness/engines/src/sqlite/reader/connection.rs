//! Connections that read a database without changing it, and what they read.

use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{ptr, slice};

use model::verify::digest::Field;
use model::verify::reader::Unreadable;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

/// How much memory a connection uses for pages of the database.
#[derive(Clone, Copy)]
pub(super) struct PageMemory {
    cache_bytes: u64,
    /// The engine reduces this to its own maximum of 2 GiB.
    mapped_bytes: i64,
}

impl PageMemory {
    /// For reading trees from their first entry to their last: the same for databases of all sizes.
    pub(super) const SCAN: PageMemory = PageMemory { cache_bytes: 16 << 20, mapped_bytes: 0 };
    /// For looking up every row in every index, where the next page can be any.
    pub(super) const LOOKUP: PageMemory = PageMemory { cache_bytes: 2 << 30, mapped_bytes: i64::MAX };
}

/// Adds to an error of the engine what was being read.
pub(super) trait WhileReading<T> {
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
pub(super) fn reason_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// True if the engine calls the file malformed.
pub(super) fn is_malformed(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Opens `database` read-only and immutable: no lock, no journal, no recovery, and no byte is changed.
pub(super) fn open(database: &Path, memory: PageMemory) -> rusqlite::Result<Connection> {
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
    connection.pragma_update(None, "mmap_size", memory.mapped_bytes)?;
    connection.pragma_update(None, "cache_size", -((memory.cache_bytes / 1024) as i64))?;
    know_collations(&connection)?;
    Ok(connection)
}

/// Makes a connection accept any collation, as one that orders by bytes. Otherwise SQLite refuses to read tables and
/// indexes with a collation that only the application has, even if the order does not matter.
pub(super) fn know_collations(connection: &Connection) -> rusqlite::Result<()> {
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

/// A value as the checks know it.
pub(super) fn field(value: ValueRef<'_>) -> Field<'_> {
    match value {
        ValueRef::Null => Field::Null,
        ValueRef::Integer(number) => Field::Integer(number),
        ValueRef::Real(number) => Field::Real(number),
        ValueRef::Text(bytes) => Field::Text(bytes),
        ValueRef::Blob(bytes) => Field::Blob(bytes),
    }
}

/// A name as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
