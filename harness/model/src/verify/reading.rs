//! Reads a database concurrently: the engine's own check, the indexes, the small tables, and two halves of `torrents`.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle, scope};
use std::time::Duration;

use reports::record::Level;

use super::condition::Condition;
use super::content::Tables;
use super::digest::RowBytes;
use super::integrity::{IndexEntries, examine};
use super::reader::{DatabaseReader, Unreadable};
use super::torrents::{self, Comparison, Limits, Torrents, Untouched, halves};
use crate::dataset::OriginalTorrents;

/// Interval of progress reports.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Everything that was read from a restored database.
pub(super) struct Reading {
    /// What the engine's own checks found.
    pub(super) engine: Result<Condition, Unreadable>,
    pub(super) indexes: Result<Vec<IndexEntries>, Unreadable>,
    pub(super) tables: Result<Tables, Unreadable>,
    pub(super) torrents: Result<Torrents, Unreadable>,
}

/// Reads a restored database and compares its torrents with the dataset.
pub(super) fn read_restored(
    engine: &dyn DatabaseReader,
    integrity: Level,
    original: &dyn OriginalTorrents,
    limits: Limits,
    progress: &mut dyn FnMut(f64),
) -> Reading {
    let (rows_read, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    scope(|scope| {
        let (sender, receiver) = channel();
        let threads = ReadThreads { scope, sender };
        let steps = &steps;
        let check = threads.start("the engine's check", move || engine.check(integrity, steps));
        let tables = threads.start("the tables", || engine.tables());
        let indexes = threads.start("the indexes", || engine.indexes());
        let halves = halves(original.torrents()).map(|ids| {
            let rows_read = &rows_read;
            threads
                .start("table torrents", move || compare_torrents(engine, original, &ids, limits, rows_read))
        });
        drop(threads);
        let rows = original.torrents();
        let effort = engine.effort(integrity, rows);
        watch(&receiver, progress, || {
            let checked = share(steps, effort.steps);
            effort.share_of_time * checked + (1.0 - effort.share_of_time) * share(&rows_read, rows)
        });
        let [first, second] = halves.map(ReadThread::finish);
        let torrents = first.and_then(|mut first| {
            first.absorb(second?);
            Ok(first)
        });
        Reading { engine: check.finish(), indexes: indexes.finish(), tables: tables.finish(), torrents }
    })
}

/// Compares the rows with an id in `ids` with the dataset.
pub(super) fn compare_torrents(
    engine: &dyn DatabaseReader,
    original: &dyn OriginalTorrents,
    ids: &RangeInclusive<i64>,
    limits: Limits,
    rows_read: &AtomicU64,
) -> Result<Torrents, Unreadable> {
    let mut comparison = Comparison::new(original, ids, limits);
    engine.torrents(ids, rows_read, &mut |torrent| {
        comparison.visit(torrent);
        true
    })?;
    Ok(comparison.finish())
}

/// What was read from a source.
pub(super) struct SourceReading {
    pub(super) tables: Result<Tables, Unreadable>,
    pub(super) untouched: Untouched,
    /// Its irregularities; those of indexes and from the engine's own checks only if these were requested.
    pub(super) condition: Condition,
}

/// Reads a source: its other tables, and the digest of the torrents that no write changes. With `integrity`, the source
/// is also examined, as thoroughly as that says.
pub(super) fn read_source(
    engine: &dyn DatabaseReader,
    torrents: u64,
    integrity: Option<Level>,
    progress: &mut dyn FnMut(f64),
) -> Result<SourceReading, Unreadable> {
    let (rows_read, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    scope(|scope| {
        let (sender, receiver) = channel();
        let threads = ReadThreads { scope, sender };
        let tables = threads.start("the tables", || engine.tables());
        let steps = &steps;
        let check = threads.start("the engine's check", move || match integrity {
            Some(integrity) => engine.check(integrity, steps),
            None => Ok(Condition::default()),
        });
        let indexes = threads.start("the indexes", move || match integrity {
            Some(_) => engine.indexes(),
            None => Ok(Vec::new()),
        });
        let halves = halves(torrents).map(|ids| {
            let rows_read = &rows_read;
            threads.start("table torrents", move || {
                let mut untouched = Untouched::default();
                let mut bytes = RowBytes::default();
                engine.torrents(&ids, rows_read, &mut |torrent| {
                    torrents::digest_untouched(torrent, torrents, &mut bytes, &mut untouched);
                    true
                })?;
                Ok(untouched)
            })
        });
        drop(threads);
        watch(&receiver, progress, || share(&rows_read, torrents));
        let [first, second] = halves.map(ReadThread::finish);
        let mut untouched = first?;
        untouched.absorb(second?);
        let (tables, check) = (tables.finish(), check.finish());
        // The index over the hashes of the torrents was just made by the harness itself.
        let others =
            |indexes: Vec<IndexEntries>| indexes.into_iter().filter(|index| index.rows.is_some()).collect();
        let condition = examine(&check, &indexes.finish().map(others), &tables, None);
        Ok(SourceReading { tables, untouched, condition })
    })
}

/// Starts threads that read.
struct ReadThreads<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    /// Each thread owns a clone: when all clones are dropped, all threads have ended, even by a panic.
    sender: Sender<()>,
}

struct ReadThread<'scope, T> {
    what: &'static str,
    thread: ScopedJoinHandle<'scope, Result<T, Unreadable>>,
}

impl<'scope> ReadThreads<'scope, '_> {
    fn start<T: Send + 'scope>(
        &self,
        what: &'static str,
        job: impl FnOnce() -> Result<T, Unreadable> + Send + 'scope,
    ) -> ReadThread<'scope, T> {
        let sender = self.sender.clone();
        let thread = self.scope.spawn(move || {
            let _sender = sender;
            job()
        });
        ReadThread { what, thread }
    }
}

impl<T> ReadThread<'_, T> {
    fn finish(self) -> Result<T, Unreadable> {
        self.thread.join().unwrap_or_else(|_| Err(Unreadable::crashed(self.what)))
    }
}

/// Reports the share done until all threads have ended.
fn watch(threads: &Receiver<()>, progress: &mut dyn FnMut(f64), share: impl Fn() -> f64) {
    while threads.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
        progress(share());
    }
    progress(1.0);
}

fn share(done: &AtomicU64, all: u64) -> f64 {
    (done.load(Ordering::Relaxed) as f64 / all.max(1) as f64).min(1.0)
}
