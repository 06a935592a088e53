//! Checkpoints that a connection of its own runs beside the application's writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::Connection;

use super::live_file::LiveFile;
use super::settings::Checkpoints;

/// Maximum length of a single sleep, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(20);

/// Runs checkpoints in a thread until it is dropped.
pub(super) struct Checkpointer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Begins to run checkpoints of a file that is written to.
    ///
    /// # Errors
    /// When the file cannot be opened, or the thread cannot be started.
    pub(super) fn start(file: &LiveFile, checkpoints: Checkpoints) -> anyhow::Result<Checkpointer> {
        let connection = file.open()?;
        // While a checkpoint waits for a reader, it may block all writers.
        connection.busy_timeout(Duration::ZERO)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || checkpoint_until(&stopped, &connection, checkpoints);
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(run);
        Ok(Checkpointer { stop, thread: Some(thread.context("cannot start the thread of the checkpoints")?) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

fn checkpoint_until(stop: &AtomicBool, connection: &Connection, checkpoints: Checkpoints) {
    let sql = format!("PRAGMA wal_checkpoint({})", checkpoints.mode.name());
    let interval = Duration::from_millis(checkpoints.interval_ms);
    let mut ended = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let left = interval.saturating_sub(ended.elapsed());
        if !left.is_zero() {
            std::thread::sleep(left.min(NAP));
            continue;
        }
        // A checkpoint that cannot get its locks is tried again after the interval.
        let _ = connection.query_row(&sql, [], |_| Ok(()));
        ended = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::modes::WAL;
    use crate::sqlite::settings::{CheckpointMode, SqliteSettings};

    #[test]
    fn a_log_that_no_commit_checkpoints_is_truncated_by_the_checkpoints() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.sqlite");
        drop(Connection::open(&path).unwrap());
        let settings = SqliteSettings { wal_autocheckpoint: 0, ..SqliteSettings::default() };
        let file = LiveFile::new(path, WAL, &settings);
        let writer = file.open().unwrap();
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        let log = directory.path().join("database.sqlite-wal");
        assert!(log.metadata().unwrap().len() > 0);
        let checkpoints = Checkpoints { mode: CheckpointMode::Truncate, interval_ms: 1 };
        let checkpointer = Checkpointer::start(&file, checkpoints).unwrap();
        while log.metadata().unwrap().len() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(checkpointer);
        writer.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert!(log.metadata().unwrap().len() > 0, "nothing runs any more");
    }
}
