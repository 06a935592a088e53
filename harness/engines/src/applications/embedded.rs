//! The embedded application: a separate process with writers that follow the schedule, send their writes to a [`Target`], and
//! record every write in the ledger.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, anyhow};
use machine::measure::clock::now_ns;
use machine::process::StopOnDrop;
use machine::worker::{Job, Message, Progress};
use model::dataset::{self, DatasetSpec, OriginalTorrents};
use model::ledger::LedgerWriter;
use model::schedule::{Load, Schedule};
use model::writes::{InfoHash, Model, Role, role};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::applications::tracker::announces::{self, TrackerTarget};
use crate::client::{Answer, Client, Session};
use crate::database::Database;
use crate::descriptors;

/// The configuration of the application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Application {
    /// Where it writes.
    pub target: Target,
    /// The specification of the dataset.
    pub dataset: DatasetSpec,
    /// The model of the writes.
    pub model: Model,
    /// What it does after it has connected.
    pub task: ApplicationTask,
}

/// Where writes are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    /// A database, through its engine.
    Database(Database),
    /// A tracker.
    Tracker(TrackerTarget),
}

/// What the application does after it has connected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ApplicationTask {
    /// Writes according to the schedule until it is stopped.
    Work {
        /// When writes are due.
        load: Load,
        /// Directory of the ledger in which writes are recorded.
        ledger_directory: PathBuf,
        /// The beginning of the schedule, in nanoseconds of [`now_ns`].
        epoch_ns: u64,
    },
    /// Makes one read and one write, to show that a restored database responds.
    Serve,
}

impl Job for Application {
    const NAME: &'static str = "embedded application";
    type Answer = ();

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        run(&self)
    }
}

/// Runs the application: connects, makes a read (and a write, with [`ApplicationTask::Serve`]), reports that it is ready, works,
/// and stops cleanly when standard input is closed.
///
/// # Errors
/// When the database cannot be opened, read or written, or the ledger cannot be extended.
pub fn run(application: &Application) -> anyhow::Result<()> {
    let original = dataset::original_torrents(&application.dataset)?;
    let client = application.connect(original.as_ref())?;
    let read = || client.read(&witness(original.as_ref())).context("a read failed");
    match &application.task {
        ApplicationTask::Work { load, ledger_directory, epoch_ns } => {
            let writers = application.writers(client.as_ref(), *load, ledger_directory, *epoch_ns)?;
            work(writers, read)?;
        }
        ApplicationTask::Serve => {
            read()?;
            client.probe().context("a write failed")?;
            Message::Ready(Value::Null).send();
            wait_for_stop();
        }
    }
    client.close()
}

/// Lets all writers write until the application is stopped. All steps that can fail, or may wait for a lock, are
/// completed before the first writer begins, so that the application's own writers cannot starve them.
fn work(writers: Vec<Writer<'_>>, read: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let stop = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(stop);
        let mut threads = Vec::new();
        for writer in writers {
            let (hand, handed) = channel::<Writer<'_>>();
            // A thread that never receives its writer ends.
            let run = move || handed.recv().map_or(Ok(()), |writer| writer.run(stop));
            let thread = std::thread::Builder::new().spawn_scoped(scope, run);
            threads.push((writer, hand, thread.context("cannot start a thread for each writer")?));
        }
        read()?;
        Message::Ready(Value::Null).send();
        let mut running = Vec::new();
        for (writer, hand, thread) in threads {
            hand.send(writer).map_err(|_| anyhow!("a writer thread ended before it started"))?;
            running.push(thread);
        }
        wait_for_stop();
        stop.store(true, Ordering::Relaxed);
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a writer panicked"))?)
    })
}

/// The torrent that is read to show that the application responds: no write changes it, and it was completed, so that
/// it is also in backups that leave out torrents that were never completed.
fn witness(original: &dyn OriginalTorrents) -> InfoHash {
    let torrents = (1..=original.torrents()).filter(|id| role(*id) == Role::Untouched);
    let mut torrents = torrents.map(|id| original.torrent(id));
    let witness = torrents.find(|torrent| torrent.completed > 0);
    witness.unwrap_or_else(|| original.torrent(1)).info_hash
}

impl Application {
    /// All writers, with open ledgers and sessions.
    fn writers<'a>(
        &self,
        client: &'a dyn Client,
        load: Load,
        ledger_directory: &Path,
        epoch_ns: u64,
    ) -> anyhow::Result<Vec<Writer<'a>>> {
        descriptors::raise_limit().context("cannot raise the limit of file descriptors")?;
        let Model { writers: all, seed, .. } = self.model;
        let open = |index| {
            let ledger = LedgerWriter::open(ledger_directory, index).context("cannot open the ledger")?;
            let schedule = Schedule::new(load, seed, index, all);
            anyhow::Ok(Writer::new(index, ledger, schedule, epoch_ns, client.session()?))
        };
        let mut writers = Vec::new();
        for index in 0..all {
            let writer = open(index);
            let is_last = index + 1 == all;
            // SQLite does not report why it cannot open a file.
            let shortage = descriptors::shortage().filter(|_| is_last || writer.is_err());
            let writer = shortage.map_or(writer, |shortage| Err(anyhow!(shortage)));
            writers.push(writer.with_context(|| format!("writer {} of {all} cannot start", index + 1))?);
        }
        Ok(writers)
    }

    fn connect<'a>(&'a self, original: &'a dyn OriginalTorrents) -> anyhow::Result<Box<dyn Client + 'a>> {
        match &self.target {
            Target::Database(database) => database.access.connect(&self.model, original),
            Target::Tracker(target) => announces::connect(target, &self.model, original),
        }
    }
}

/// Returns when the harness closes standard input, or has ended.
fn wait_for_stop() {
    let mut rest = Vec::new();
    // If standard input cannot be read, the harness has ended.
    let _ = std::io::stdin().lock().read_to_end(&mut rest);
}

/// Maximum length of a single sleep of a writer, so that it notices a stop.
const NAP_NS: u64 = 20_000_000;
/// In a closed loop, a writer pauses this long after a write that was not acknowledged. Otherwise, when the database is
/// down or the disk is full, immediate refusals would use all CPU time and fill the ledger.
const REST: Duration = Duration::from_millis(5);

struct Writer<'a> {
    index: u32,
    ledger: LedgerWriter,
    schedule: Schedule,
    epoch_ns: u64,
    session: Box<dyn Session + 'a>,
}

impl<'a> Writer<'a> {
    /// A writer that continues where the ledger of an earlier process ends.
    fn new(
        index: u32,
        ledger: LedgerWriter,
        mut schedule: Schedule,
        epoch_ns: u64,
        session: Box<dyn Session + 'a>,
    ) -> Writer<'a> {
        for _ in 0..ledger.next_index() {
            schedule.next_due_ns();
        }
        Writer { index, ledger, schedule, epoch_ns, session }
    }

    fn run(mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        if let Err(error) = self.write_until(stop) {
            // If the application cannot write any more, it exits, so that the harness notices.
            Message::Error(error.into()).send();
            std::process::exit(1);
        }
        self.session.close()
    }

    fn write_until(&mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        // So that sleeps end on time instead of up to 50 us late.
        nix::sys::prctl::set_timerslack(1)?;
        let mut due_ns = self.catch_up()?;
        while let Some(due) = due_ns.filter(|due| sleep_until(*due, stop)) {
            let index = self.ledger.next_index();
            self.ledger.send(due, now_ns()).context("cannot extend the ledger")?;
            let answer = self.session.write(self.index, index);
            match answer {
                Answer::Acknowledged => self.ledger.acknowledge(now_ns()),
                Answer::Refused => self.ledger.refuse(now_ns()),
                Answer::None => {}
            }
            if answer != Answer::Acknowledged && self.schedule.is_closed() {
                std::thread::sleep(REST);
            }
            due_ns = self.next_due_ns();
        }
        Ok(())
    }

    /// Records the writes that were due while the application was down, and returns the next due time.
    fn catch_up(&mut self) -> anyhow::Result<Option<u64>> {
        let may_miss = self.ledger.next_index() > 0 && !self.schedule.is_closed();
        let mut due_ns = self.next_due_ns();
        let now = now_ns();
        while let Some(due) = due_ns.filter(|due| may_miss && *due < now) {
            self.ledger.miss(due, now).context("cannot extend the ledger")?;
            due_ns = self.next_due_ns();
        }
        Ok(due_ns)
    }

    fn next_due_ns(&mut self) -> Option<u64> {
        match self.schedule.next_due_ns() {
            Some(offset) => Some(self.epoch_ns + offset),
            None if self.schedule.is_closed() => Some(now_ns()),
            None => None,
        }
    }
}

/// Sleeps until a write is due. False when the application must stop.
fn sleep_until(due_ns: u64, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let now = now_ns();
        if now >= due_ns {
            return true;
        }
        let until = due_ns.min(now + NAP_NS);
        let time = TimeSpec::new((until / 1_000_000_000) as i64, (until % 1_000_000_000) as i64);
        // A signal only ends the sleep early.
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use model::schedule::{Arrivals, Pattern, Rate};

    /// Gives the same answer to every write, immediately.
    struct Always<'a>(Answer, &'a AtomicU64);

    impl Session for Always<'_> {
        fn write(&mut self, _writer: u32, _index: u64) -> Answer {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0
        }

        fn close(self: Box<Self>) -> anyhow::Result<()> {
            Ok(())
        }
    }

    /// Writers in a closed loop.
    fn writers<'a>(directory: &Path, answer: Answer, written: &'a AtomicU64) -> Vec<Writer<'a>> {
        let load = Load { rate: Rate::Closed, arrivals: Arrivals::Poisson, pattern: Pattern::Constant };
        let writer = |index| {
            let ledger = LedgerWriter::open(directory, index).unwrap();
            let schedule = Schedule::new(load, 1, index, 3);
            Writer::new(index, ledger, schedule, now_ns(), Box::new(Always(answer, written)))
        };
        (0..3).map(writer).collect()
    }

    #[test]
    fn no_writer_begins_before_all_can_and_an_error_until_then_ends_all() {
        let directory = tempfile::tempdir().unwrap();
        let written = AtomicU64::new(0);
        let writers = writers(directory.path(), Answer::Acknowledged, &written);
        let error = work(writers, || Err(anyhow!("a read failed"))).unwrap_err();
        assert_eq!(error.to_string(), "a read failed");
        assert_eq!(written.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_writer_without_a_pace_rests_after_a_refusal() {
        let directory = tempfile::tempdir().unwrap();
        let written = &AtomicU64::new(0);
        let stop = &AtomicBool::new(false);
        let (mut first, began) = (writers(directory.path(), Answer::Refused, written).remove(0), now_ns());
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || first.write_until(stop));
            while written.load(Ordering::Relaxed) < 20 && !writing.is_finished() {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            writing.join().unwrap().unwrap();
        });
        assert!(now_ns() - began >= 19 * REST.as_nanos() as u64);
    }
}
