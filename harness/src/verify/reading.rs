//! Reads a database side by side: the engine's own check, the indexes and small tables, two halves of `torrents`.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle, scope};
use std::time::Duration;

use rusqlite::Connection;

use super::content::Tables;
use super::database::{Unreadable, WhileReading, open};
use super::digest::{RowBytes, RowsDigest};
use super::integrity::{IndexEntries, Integrity, read_indexes};
use super::torrents::{self, Comparison, Torrents, halves};
use crate::dataset::Origin;

/// What the engine's own check may keep in memory: it looks up every row in every index.
const CHECK_CACHE_BYTES: u64 = 2 << 30;
/// What a pass from one end of a table to the other needs.
const SCAN_CACHE_BYTES: u64 = 16 << 20;
/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Everything that was read from a restored database.
pub(super) struct Reading {
    /// The messages of the engine's check.
    pub(super) engine: Result<Vec<String>, Unreadable>,
    pub(super) indexes: Result<Vec<IndexEntries>, Unreadable>,
    pub(super) tables: Result<Tables, Unreadable>,
    pub(super) torrents: Result<Torrents, Unreadable>,
}

/// Reads a restored database and holds its torrents against the dataset.
pub(super) fn read_restored(
    database: &Path,
    integrity: Integrity,
    origin: &dyn Origin,
    changed_max: u64,
    progress: &mut dyn FnMut(f64),
) -> Reading {
    let (rows_read, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    scope(|scope| {
        let (sender, receiver) = channel();
        let work = Work { scope, database, sender };
        let steps = &steps;
        let engine = work.start("the engine's check", CHECK_CACHE_BYTES, move |connection| {
            integrity.run(connection, steps)
        });
        let tables = work.start("the tables", SCAN_CACHE_BYTES, Tables::read);
        let indexes = work.start("the indexes", SCAN_CACHE_BYTES, read_indexes);
        let halves = halves(origin.torrents()).map(|ids| {
            let rows_read = &rows_read;
            work.start("table torrents", SCAN_CACHE_BYTES, move |connection| {
                compare_torrents(connection, origin, &ids, changed_max, rows_read)
            })
        });
        drop(work);
        let rows = origin.torrents();
        let engine_share = integrity.share_of_time();
        watch(&receiver, progress, || {
            let checked = share(steps, rows * integrity.steps_per_row());
            engine_share * checked + (1.0 - engine_share) * share(&rows_read, rows)
        });
        let [first, second] = halves.map(Worker::finish);
        let torrents = first.and_then(|mut first| {
            first.absorb(second?);
            Ok(first)
        });
        Reading { engine: engine.finish(), indexes: indexes.finish(), tables: tables.finish(), torrents }
    })
}

fn compare_torrents(
    connection: &Connection,
    origin: &dyn Origin,
    ids: &RangeInclusive<i64>,
    changed_max: u64,
    rows_read: &AtomicU64,
) -> Result<Torrents, Unreadable> {
    let mut comparison = Comparison::new(origin, ids, changed_max);
    torrents::read(connection, ids, rows_read, |torrent| {
        comparison.visit(torrent);
        true
    })
    .while_reading("table torrents")?;
    Ok(comparison.finish())
}

/// Reads a source: its small tables, and the digest of the torrents that no write touches.
pub(super) fn read_source(
    database: &Path,
    torrents: u64,
    progress: &mut dyn FnMut(f64),
) -> Result<(Tables, RowsDigest), Unreadable> {
    let rows_read = AtomicU64::new(0);
    scope(|scope| {
        let (sender, receiver) = channel();
        let work = Work { scope, database, sender };
        let tables = work.start("the tables", SCAN_CACHE_BYTES, Tables::read);
        let halves = halves(torrents).map(|ids| {
            let rows_read = &rows_read;
            work.start("table torrents", SCAN_CACHE_BYTES, move |connection| {
                let mut untouched = RowsDigest::default();
                let mut bytes = RowBytes::default();
                torrents::read(connection, &ids, rows_read, |torrent| {
                    torrents::digest_untouched(torrent, torrents, &mut bytes, &mut untouched);
                    true
                })
                .while_reading("table torrents")?;
                Ok(untouched)
            })
        });
        drop(work);
        watch(&receiver, progress, || share(&rows_read, torrents));
        let [first, second] = halves.map(Worker::finish);
        let mut untouched = first?;
        untouched.absorb(second?);
        Ok((tables.finish()?, untouched))
    })
}

/// Starts workers, each with a connection of its own.
struct Work<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    database: &'a Path,
    /// Each worker holds a clone: when all are gone, all have ended, be it by a panic.
    sender: Sender<()>,
}

struct Worker<'scope, T> {
    what: &'static str,
    thread: ScopedJoinHandle<'scope, Result<T, Unreadable>>,
}

impl<'scope> Work<'scope, '_, '_> {
    fn start<T: Send + 'scope>(
        &self,
        what: &'static str,
        cache_bytes: u64,
        job: impl FnOnce(&Connection) -> Result<T, Unreadable> + Send + 'scope,
    ) -> Worker<'scope, T> {
        let database = self.database.to_owned();
        let sender = self.sender.clone();
        let thread = self.scope.spawn(move || {
            let _sender = sender;
            job(&open(&database, cache_bytes).while_reading(what)?)
        });
        Worker { what, thread }
    }
}

impl<T> Worker<'_, T> {
    fn finish(self) -> Result<T, Unreadable> {
        self.thread.join().unwrap_or_else(|_| Err(Unreadable::crashed(self.what)))
    }
}

/// Tells the share done until all workers have ended.
fn watch(workers: &Receiver<()>, progress: &mut dyn FnMut(f64), share: impl Fn() -> f64) {
    while workers.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
        progress(share());
    }
    progress(1.0);
}

fn share(done: &AtomicU64, all: u64) -> f64 {
    (done.load(Ordering::Relaxed) as f64 / all.max(1) as f64).min(1.0)
}
