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

use machine::measure::clock::{Span, monotonic_ns_of, now_ns};
use machine::process::StopOnDrop;

/// Shorter than the copy of a small database, at a cost of about 20 us each time.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The header of a log: it contains the checkpoint number and the salts, which change with each reset.
const HEADER_BYTES: usize = 32;

/// The observed events, in nanoseconds of the common clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEvents {
    /// When the database file was written to.
    pub checkpoints_ns: Vec<u64>,
    /// When the log was truncated, or restarted from its first byte.
    pub resets_ns: Vec<u64>,
    /// Total size of the database file and its log, each time that it had changed.
    pub bytes: Vec<(u64, u64)>,
}

/// Watches the database while `work` runs.
pub fn beside<T>(database: &Path, work: impl FnOnce() -> T) -> (T, LogEvents) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(database, &stop));
        let stopping = StopOnDrop(&stop);
        let done = work();
        drop(stopping);
        (done, watcher.join().expect("the watcher does not panic"))
    })
}

fn watch(database: &Path, stop: &AtomicBool) -> LogEvents {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    let log = PathBuf::from(name);
    let mut events = LogEvents::default();
    let mut before = look(database, &log);
    events.bytes.push((now_ns(), before.bytes));
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        let now = look(database, &log);
        events.note(now_ns(), &before, &now);
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

impl LogEvents {
    /// The maximum growth of the two files within a span, compared with its beginning.
    pub fn growth_bytes(&self, span: Span) -> u64 {
        let at_first = self.bytes.iter().rfind(|(at, _)| *at <= span.from_ns).or(self.bytes.first());
        let within = self.bytes.iter().filter(|(at, _)| span.contains(*at)).map(|(_, bytes)| *bytes);
        let first = at_first.map_or(0, |(_, bytes)| *bytes);
        within.max().map_or(0, |most| most.saturating_sub(first))
    }

    fn note(&mut self, at_ns: u64, before: &Seen, now: &Seen) {
        if before.modified != now.modified {
            self.checkpoints_ns.push(now.modified.and_then(monotonic_ns_of).unwrap_or(at_ns));
        }
        if before.bytes != now.bytes {
            self.bytes.push((at_ns, now.bytes));
        }
        // If the log starts in an empty file, the reset was already counted when the file was emptied.
        if before.header.is_some() && before.header != now.header {
            self.resets_ns.push(now.log_modified.and_then(monotonic_ns_of).unwrap_or(at_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

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
            events.note(1, &before, &now);
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
    fn growth_is_compared_with_the_beginning_of_the_span() {
        let events =
            LogEvents { bytes: vec![(10, 100), (20, 150), (30, 400), (40, 120)], ..Default::default() };
        let growth = |from_ns, to_ns| events.growth_bytes(Span { from_ns, to_ns });
        assert_eq!([growth(15, 25), growth(20, 50), growth(31, 50), growth(50, 60)], [50, 250, 0, 0]);
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
        let ((), events) = beside(&path, || {
            // Often enough to be observed even on a busy machine.
            for x in 0..200 {
                connection.execute("INSERT INTO t VALUES (?1)", [x]).unwrap();
                checkpoint(&connection, "TRUNCATE");
                std::thread::sleep(LOOK_EVERY);
            }
        });
        assert!(!events.checkpoints_ns.is_empty() && !events.resets_ns.is_empty());
        assert!(events.bytes.len() > 1, "the log was truncated");
        assert!(events.checkpoints_ns.iter().all(|at| (began_ns - TICK_NS..now_ns()).contains(at)));
    }
}
