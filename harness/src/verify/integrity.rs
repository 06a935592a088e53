//! Check 1: the file, what lies beside it, what the engine says, and whether the indexes hold what the tables do.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ffi};
use serde::{Deserialize, Serialize};

use super::content::{TORRENTS, digest_rows};
use super::database::{Unreadable, WhileReading, journals, quoted};
use super::digest::RowsDigest;
use super::findings::Findings;

/// Messages that the engine's check may give before it stops looking.
const MESSAGES_MAX: u32 = 20;
const HEADER_BYTES: usize = 100;
/// The engine's steps are counted in lots of this many.
const COUNT_EVERY: u64 = 10_000;

/// How thoroughly the engine checks a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// `PRAGMA integrity_check`: looks up every row in every index; many times a read of the file.
    Full,
    /// `PRAGMA quick_check`: about one read of the file. Rows and index entries are still held against each
    /// other, by digests.
    Quick,
}

impl Integrity {
    /// Steps of the engine's virtual machine a row, as measured: they tell how far its check has got.
    pub(super) fn steps_per_row(self) -> u64 {
        match self {
            Integrity::Full => 15,
            Integrity::Quick => 7,
        }
    }

    /// Part of the whole time that goes to the engine's check, as measured, from 0 to 1.
    pub(super) fn share_of_time(self) -> f64 {
        match self {
            Integrity::Full => 0.9,
            Integrity::Quick => 0.3,
        }
    }

    /// Runs the engine's own check: its messages, none when all is well. Counts its steps in `steps`.
    pub(super) fn run(self, connection: &Connection, steps: &AtomicU64) -> Result<Vec<String>, Unreadable> {
        // SAFETY: `steps` outlives the query, and the handler is taken away before it goes.
        unsafe {
            let steps = ptr::from_ref(steps).cast_mut().cast();
            ffi::sqlite3_progress_handler(
                connection.handle(),
                COUNT_EVERY as c_int,
                Some(count_steps),
                steps,
            );
        }
        let messages = self.messages(connection);
        // SAFETY: the handle is that of an open connection.
        unsafe { ffi::sqlite3_progress_handler(connection.handle(), 0, None, ptr::null_mut()) };
        messages
    }

    fn messages(self, connection: &Connection) -> Result<Vec<String>, Unreadable> {
        let pragma = match self {
            Integrity::Full => "integrity_check",
            Integrity::Quick => "quick_check",
        };
        let messages = || -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare(&format!("PRAGMA {pragma}({MESSAGES_MAX})"))?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let mut messages = messages().while_reading(pragma)?;
        if messages.is_empty() {
            return Err(Unreadable { reason: format!("{pragma} said nothing"), malformed: false });
        }
        messages.retain(|message| message != "ok");
        Ok(messages.into_iter().map(|message| format!("{pragma}: {message}")).collect())
    }
}

/// Called by the engine every [`COUNT_EVERY`] steps.
unsafe extern "C" fn count_steps(steps: *mut c_void) -> c_int {
    // SAFETY: the pointer is the counter that `Integrity::run` borrows while its query runs.
    unsafe { &*steps.cast::<AtomicU64>() }.fetch_add(COUNT_EVERY, Ordering::Relaxed);
    0
}

/// Looks at the file and beside it. Says whether there is a file to open.
pub(super) fn judge_file(database: &Path, integrity: &mut Findings) -> bool {
    for journal in journals(database) {
        match journal.metadata().map(|metadata| metadata.len()) {
            Ok(0) => {}
            Ok(bytes) => integrity.wrong(|| {
                let name = journal.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("{name} was left beside the database with {bytes} bytes")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => integrity.cannot(format!("{}: {error}", journal.display())),
        }
    }
    match judge_header(database, integrity) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            integrity.wrong(|| format!("there is no database file {}", database.display()));
            false
        }
        Err(error) => {
            integrity.cannot(format!("{}: {error}", database.display()));
            true
        }
    }
}

/// Holds the header's page size and page count against the length of the file.
fn judge_header(database: &Path, integrity: &mut Findings) -> io::Result<()> {
    let file = File::open(database)?;
    let bytes = file.metadata()?.len();
    if bytes < HEADER_BYTES as u64 {
        integrity.wrong(|| format!("the database file has {bytes} bytes: not even a header"));
        return Ok(());
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"SQLite format 3\0") {
        integrity.wrong(|| "the file is no SQLite database: its first bytes are others".to_owned());
        return Ok(());
    }
    let word = |offset: usize| {
        u64::from(u32::from_be_bytes(header[offset..offset + 4].try_into().expect("four bytes")))
    };
    let page_bytes = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        page_bytes => page_bytes,
    };
    if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        integrity.wrong(|| format!("the header names a page size of {page_bytes} bytes"));
        return Ok(());
    }
    if bytes % page_bytes != 0 {
        integrity.wrong(|| {
            format!("the file has {bytes} bytes: the last of its {page_bytes}-byte pages is cut off")
        });
    }
    // The page count holds only for the change at which it was written.
    let (pages, change_counter, valid_for) = (word(28), word(24), word(92));
    if pages != 0 && change_counter == valid_for && bytes != pages * page_bytes {
        integrity.wrong(|| {
            format!("the header counts {pages} pages of {page_bytes} bytes, and the file has {bytes} bytes")
        });
    }
    Ok(())
}

/// What an index holds, and what its table says it has to hold.
pub(super) struct IndexEntries {
    pub(super) index: String,
    /// Entries of the index.
    pub(super) entries: Result<RowsDigest, Unreadable>,
    /// The same columns of the table; `None` when another pass over the table reads them.
    pub(super) rows: Option<Result<RowsDigest, Unreadable>>,
}

/// Reads every index that holds plain columns of all rows of its table.
pub(super) fn read_indexes(connection: &Connection) -> Result<Vec<IndexEntries>, Unreadable> {
    let indexes = list_indexes(connection).while_reading("the list of indexes")?;
    let read = |(table, index): (String, String)| {
        let what = format!("index {index}");
        let columns = match index_columns(connection, &index).while_reading(&what) {
            Ok(columns) => columns?,
            Err(unreadable) => {
                return Some(IndexEntries { index, entries: Err(unreadable), rows: None });
            }
        };
        let select =
            |how: &str| format!("SELECT {}, rowid FROM {} {how}", columns.join(", "), quoted(&table));
        // The comparison of `torrents` with the dataset passes by these columns anyway.
        let passed_by = table == TORRENTS && columns == [quoted("info_hash")];
        let rows = (!passed_by).then(|| {
            digest_rows(connection, &select("NOT INDEXED")).while_reading(&format!("table {table}"))
        });
        let entries = digest_rows(connection, &select(&format!("INDEXED BY {}", quoted(&index))));
        Some(IndexEntries { index, entries: entries.while_reading(&what), rows })
    };
    Ok(indexes.into_iter().filter_map(read).collect())
}

/// (table, index) of every index that leaves no row out, on tables that have rowids.
fn list_indexes(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(
        "SELECT t.name, i.name FROM pragma_table_list AS t, pragma_index_list(t.name) AS i
         WHERE t.schema = 'main' AND t.type = 'table' AND t.wr = 0 AND i.partial = 0",
    )?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The columns of an index, quoted; `None` when one is an expression.
fn index_columns(connection: &Connection, index: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
    let names = statement.query_map([index], |row| row.get::<_, Option<String>>(0))?;
    names.map(|name| Ok(name?.map(|name| quoted(&name)))).collect()
}

/// Holds the indexes against their tables. `torrents` is what an index over the hashes of `torrents` has to hold.
pub(super) fn judge_indexes(
    indexes: &[IndexEntries],
    torrents: Option<RowsDigest>,
    integrity: &mut Findings,
) {
    for IndexEntries { index, entries, rows } in indexes {
        let rows = match rows {
            Some(Ok(rows)) => Some(*rows),
            Some(Err(unreadable)) => {
                judge_unreadable(unreadable, integrity);
                None
            }
            None => torrents,
        };
        match (entries, rows) {
            (Err(unreadable), _) => judge_unreadable(unreadable, integrity),
            (Ok(entries), Some(rows)) if *entries != rows => integrity.wrong(|| {
                let (held, due) = (entries.rows, rows.rows);
                format!(
                    "index {index} holds {held} entries and its table {due} rows, and they are not the same"
                )
            }),
            (Ok(_), Some(_)) => {}
            (Ok(_), None) => integrity.cannot(format!("index {index}: its table could not be read")),
        }
    }
}

/// A file that the engine calls malformed is damaged; anything else only kept the checker from looking.
pub(super) fn judge_unreadable(unreadable: &Unreadable, integrity: &mut Findings) {
    if unreadable.malformed {
        integrity.wrong(|| unreadable.reason.clone());
    } else {
        integrity.cannot(&unreadable.reason);
    }
}
