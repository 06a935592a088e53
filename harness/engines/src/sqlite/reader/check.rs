//! SQLite's own check.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use model::verify::Level;
use model::verify::condition::Condition;
use model::verify::reader::Unreadable;
use rusqlite::{Connection, ffi};

use super::connection::{WhileReading, quoted};
use super::indexes::{self, Index};

/// Number of messages after which the engine's check stops. It is so high that irregularities from before a trial do
/// not hide damage after it, and limited so that a file full of garbage does not fill the memory.
const MESSAGES_MAX: usize = 10_000;
/// The same for the check of a single table: SQLite accepts no other number there.
const MESSAGES_MAX_OF_TABLE: usize = 100;
/// The engine's steps are counted in batches of this many.
const COUNT_EVERY: u64 = 10_000;
/// The full check. The quick one does not look up rows in indexes, and does not check their order.
const FULL: &str = "integrity_check";
const QUICK: &str = "quick_check";

/// Runs SQLite's own check. Counts its steps in `steps`.
pub(super) fn run(
    integrity: Level,
    connection: &Connection,
    steps: &AtomicU64,
) -> Result<Condition, Unreadable> {
    // SAFETY: `steps` outlives the query, and the handler is removed before `steps` is dropped.
    unsafe {
        let steps = ptr::from_ref(steps).cast_mut().cast();
        ffi::sqlite3_progress_handler(connection.handle(), COUNT_EVERY as c_int, Some(count_steps), steps);
    }
    let condition = check(integrity, connection);
    // SAFETY: the handle is that of an open connection.
    unsafe { ffi::sqlite3_progress_handler(connection.handle(), 0, None, ptr::null_mut()) };
    condition
}

/// Called by the engine every [`COUNT_EVERY`] steps.
unsafe extern "C" fn count_steps(steps: *mut c_void) -> c_int {
    // SAFETY: the pointer is the counter that `run` borrows while its query runs.
    unsafe { &*steps.cast::<AtomicU64>() }.fetch_add(COUNT_EVERY, Ordering::Relaxed);
    0
}

fn check(integrity: Level, connection: &Connection) -> Result<Condition, Unreadable> {
    let mut condition = Condition::default();
    let indexes = indexes::list(connection).while_reading("the list of indexes")?;
    indexes.iter().filter_map(Index::unordered).for_each(|line| condition.unchecked(line));
    let is_ordered =
        |table: &str| indexes.iter().all(|index| index.table != table || index.unknown_collation.is_none());
    let all_ordered = indexes.iter().all(|index| index.unknown_collation.is_none());
    if integrity == Level::Full && all_ordered {
        look_at_all(FULL, connection, &mut condition)?;
        return Ok(condition);
    }
    look_at_all(QUICK, connection, &mut condition)?;
    let tables: BTreeSet<&str> = indexes
        .iter()
        .filter(|index| integrity == Level::Full || index.needs_the_engine())
        .map(|index| index.table.as_str())
        .filter(|table| is_ordered(table))
        .collect();
    for table in tables {
        look_at(FULL, table, connection, &mut condition);
    }
    Ok(condition)
}

/// Checks the whole file. If an expression of the schema cannot be computed, SQLite aborts the whole check; then each
/// table is checked separately.
fn look_at_all(pragma: &str, connection: &Connection, condition: &mut Condition) -> Result<(), Unreadable> {
    match messages(pragma, None, connection).while_reading(pragma) {
        Ok(messages) => {
            enter(pragma, messages, MESSAGES_MAX, condition);
            Ok(())
        }
        Err(unreadable) if unreadable.malformed => Err(unreadable),
        Err(_) => {
            condition.unchecked(format!(
                "{pragma}: SQLite can check only one table after the other here, so it is not checked that each page is \
                 used once"
            ));
            for table in tables(connection).while_reading("the list of tables")? {
                look_at(pragma, &table, connection, condition);
            }
            Ok(())
        }
    }
}

fn look_at(pragma: &str, table: &str, connection: &Connection, condition: &mut Condition) {
    let what = format!("{pragma} of table {table}");
    match messages(pragma, Some(table), connection).while_reading(&what) {
        Ok(messages) => enter(&what, messages, MESSAGES_MAX_OF_TABLE, condition),
        Err(unreadable) => condition.unreadable(&unreadable),
    }
}

fn messages(pragma: &str, table: Option<&str>, connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let argument = table.map_or_else(|| MESSAGES_MAX.to_string(), quoted);
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}({argument})"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn enter(what: &str, messages: Vec<String>, most: usize, condition: &mut Condition) {
    if messages.is_empty() {
        condition.unchecked(format!("{what} said nothing"));
    }
    if messages.len() >= most {
        condition.unchecked(format!("{what}: SQLite stops after {most} messages"));
    }
    // All problems with pages are reported as one message with many lines.
    let lines = messages.iter().flat_map(|message| message.lines());
    for line in lines.filter(|line| *line != "ok" && !line.starts_with("*** in database ")) {
        condition.wrong(format!("{what}: {line}"));
    }
}

/// The tables that have rows.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}
