//! SQLite's own check, and the entries of its indexes.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ffi};

use super::content::digest_rows;
use super::{WhileReading, quoted};
use crate::verify::engine::Unreadable;
use crate::verify::integrity::{IndexEntries, Integrity};

/// Messages that the engine's check may give before it stops looking.
const MESSAGES_MAX: u32 = 20;
/// The engine's steps are counted in lots of this many.
const COUNT_EVERY: u64 = 10_000;

/// Runs SQLite's own check: its messages, none when all is well. Counts its steps in `steps`.
pub(super) fn run(
    integrity: Integrity,
    connection: &Connection,
    steps: &AtomicU64,
) -> Result<Vec<String>, Unreadable> {
    // SAFETY: `steps` outlives the query, and the handler is taken away before it goes.
    unsafe {
        let steps = ptr::from_ref(steps).cast_mut().cast();
        ffi::sqlite3_progress_handler(connection.handle(), COUNT_EVERY as c_int, Some(count_steps), steps);
    }
    let messages = messages(integrity, connection);
    // SAFETY: the handle is that of an open connection.
    unsafe { ffi::sqlite3_progress_handler(connection.handle(), 0, None, ptr::null_mut()) };
    messages
}

fn messages(integrity: Integrity, connection: &Connection) -> Result<Vec<String>, Unreadable> {
    let pragma = match integrity {
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

/// Called by the engine every [`COUNT_EVERY`] steps.
unsafe extern "C" fn count_steps(steps: *mut c_void) -> c_int {
    // SAFETY: the pointer is the counter that `run` borrows while its query runs.
    unsafe { &*steps.cast::<AtomicU64>() }.fetch_add(COUNT_EVERY, Ordering::Relaxed);
    0
}

/// Reads every index that holds plain columns of all rows of its table. `torrents` is the table that another pass reads.
pub(super) fn read_indexes(connection: &Connection, torrents: &str) -> Result<Vec<IndexEntries>, Unreadable> {
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
        // The comparison of the torrents with the dataset passes by these columns anyway.
        let passed_by = table == torrents && columns == [quoted("info_hash")];
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
         WHERE t.schema = 'main' AND t.type IN ('table', 'shadow') AND t.wr = 0 AND i.partial = 0",
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
