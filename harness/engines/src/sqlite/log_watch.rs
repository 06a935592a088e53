//! What happens to a SQLite database in WAL mode while it is copied: checkpoints, which write into the database file,
//! and resets of the log, after which the log is written from its beginning again.
//!
//! This is observed from outside, from the time of the database file and the header of the log, so events within 2 ms
//! count once. The time of an event is the time of the file: the times of a copy's files come from the same clock,
//! which may have the resolution of the kernel's tick.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use machine::measure::clock::{monotonic_ns_of, now_ns};

use crate::log_events::LogEvents;

/// Shorter than the copy of a small database, at a cost of about 20 us each time.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The header of a log: it contains the checkpoint number and the salts, which change with each reset.
const HEADER_BYTES: usize = 32;

/// Watches a database until `stop` is true.
pub(super) fn watch(database: &Path, stop: &AtomicBool) -> LogEvents {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    let log = PathBuf::from(name);
    let mut events = LogEvents::default();
    let mut before = look(database, &log);
    events.bytes.push((now_ns(), before.bytes));
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        let now = look(database, &log);
        note(&mut events, now_ns(), &before, &now);
        before = now;
    }
    events
}

/// The database and its log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    /// `None` if the log is empty or does not exist.
    header: Option<[u8; HEADER_BYTES]>,
    /// When the log was last written to.
    log_modified: Option<SystemTime>,
    /// Total size of both files.
    bytes: u64,
}

fn look(database: &Path, log: &Path) -> Seen {
    let mut header = [0; HEADER_BYTES];
    let read = File::open(log).and_then(|mut log| log.read_exact(&mut header));
    let modified = |file: &Path| file.metadata().and_then(|file| file.modified()).ok();
    let bytes = [database, log].iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    let header = read.is_ok().then_some(header);
    Seen { modified: modified(database), header, log_modified: modified(log), bytes }
}

/// Adds what happened between two looks at a database.
fn note(events: &mut LogEvents, at_ns: u64, before: &Seen, now: &Seen) {
    if before.modified != now.modified {
        events.checkpoints_ns.push(now.modified.and_then(monotonic_ns_of).unwrap_or(at_ns));
    }
    if before.bytes != now.bytes {
        events.bytes.push((at_ns, now.bytes));
    }
    // If the log starts in an empty file, the reset was already counted when the file was emptied.
    if before.header.is_some() && before.header != now.header {
        events.resets_ns.push(now.log_modified.and_then(monotonic_ns_of).unwrap_or(at_ns));
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::log_events::beside;

    fn open(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection
    }

    fn checkpoint(connection: &Connection, mode: &str) {
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
    }

    /// The number of checkpoints and resets after each step.
    #[test]
    fn checkpoints_and_resets_are_counted_and_commits_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.sqlite");
        let log = directory.path().join("database.sqlite-wal");
        let connection = open(&path);
        connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        let mut events = LogEvents::default();
        let mut before = look(&path, &log);
        let mut after = |what: &str, step: &dyn Fn()| {
            // If file times have the resolution of the kernel's tick, two changes within one tick have the same time.
            std::thread::sleep(Duration::from_millis(20));
            step();
            let now = look(&path, &log);
            note(&mut events, 1, &before, &now);
            before = now;
            format!("{what}: {} {}", events.checkpoints_ns.len(), events.resets_ns.len())
        };
        let insert = || connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        let seen = [
            after("commit", &insert),
            after("passive", &|| checkpoint(&connection, "PASSIVE")),
            after("commit from the beginning of the log", &insert),
            after("truncate", &|| checkpoint(&connection, "TRUNCATE")),
            after("commit into the empty log", &insert),
        ];
        insta::assert_snapshot!(seen.join("\n"), @"
        commit: 0 0
        passive: 1 0
        commit from the beginning of the log: 1 1
        truncate: 2 2
        commit into the empty log: 2 2
        ");
    }

    #[test]
    fn events_during_the_work_are_observed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.sqlite");
        let connection = open(&path);
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        /// Longer than the tick of any kernel.
        const TICK_NS: u64 = 20_000_000;
        let began_ns = now_ns();
        let work = || {
            // Often enough to be observed even on a busy machine.
            for x in 0..200 {
                connection.execute("INSERT INTO t VALUES (?1)", [x]).unwrap();
                checkpoint(&connection, "TRUNCATE");
                std::thread::sleep(LOOK_EVERY);
            }
        };
        let ((), events) = beside(|stop| watch(&path, stop), work);
        assert!(!events.checkpoints_ns.is_empty() && !events.resets_ns.is_empty());
        assert!(events.bytes.len() > 1, "the log was truncated");
        assert!(events.checkpoints_ns.iter().all(|at| (began_ns - TICK_NS..now_ns()).contains(at)));
    }
}
