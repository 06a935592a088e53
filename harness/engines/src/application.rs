//! What writes: a process of its own whose writers follow the schedule, send their writes to a [`Target`], and
//! enter every one of them into the ledger.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, anyhow};
use machine::measure::clock::now_ns;
use machine::process::StopOnDrop;
use machine::worker::{Job, Message, Progress};
use model::dataset::{self, DatasetSpec, Origin};
use model::ledger::LedgerWriter;
use model::schedule::{Load, Schedule};
use model::writes::{InfoHash, Model, Role, role};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::descriptors;
use crate::mysql::client as mysql;
use crate::mysql::connection::Address;
use crate::sqlite::client as sqlite;
use crate::sqlite::client::SqliteTarget;
use crate::tracker::{self, TrackerTarget};

/// What the application needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Application {
    /// What it writes to.
    pub target: Target,
    /// What the database was generated from.
    pub dataset: DatasetSpec,
    /// What the writes are.
    pub model: Model,
    /// What it does once it is open.
    pub task: Task,
}

/// What the writes are sent to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    /// A SQLite file.
    Sqlite(SqliteTarget),
    /// A MySQL server.
    Mysql(Address),
    /// A tracker.
    Tracker(TrackerTarget),
}

/// What a writer talks to the target through.
pub trait Client: Sync {
    /// Reads one torrent of the dataset.
    ///
    /// # Errors
    /// When there is no answer, or a wrong one.
    fn read(&self, info_hash: &InfoHash) -> anyhow::Result<()>;

    /// Makes one write that belongs to no writer: [`Model::probe_info_hash`].
    ///
    /// # Errors
    /// When it is not acknowledged.
    fn probe(&self) -> anyhow::Result<()>;

    /// Opens what one writer writes through.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn session(&self) -> anyhow::Result<Box<dyn Session + '_>>;

    /// Closes it in good order, after all sessions.
    ///
    /// # Errors
    /// When it cannot be closed.
    fn close(self: Box<Self>) -> anyhow::Result<()>;
}

/// One writer's way to the target.
pub trait Session: Send {
    /// Makes a writer's write number `index`.
    fn write(&mut self, writer: u32, index: u64) -> Answer;

    /// Closes it in good order.
    ///
    /// # Errors
    /// When it cannot be closed.
    fn close(self: Box<Self>) -> anyhow::Result<()>;
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in.
    Acknowledged,
    /// It is not in.
    Refused,
    /// Nobody knows whether it is in.
    None,
}

/// What the application does once it is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Write as the schedule says until it is stopped.
    Work {
        /// When writes are due.
        load: Load,
        /// Where writes are entered.
        ledger_directory: PathBuf,
        /// The beginning of the schedule, in nanoseconds of [`now_ns`].
        epoch_ns: u64,
    },
    /// Answer one read and one write, to show that a restored database serves.
    Serve,
}

impl Job for Application {
    const NAME: &'static str = "embedded application";
    type Answer = ();

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        run(&self)
    }
}

/// The whole life of the application: opens, answers a read (and a write, to serve), says that it is ready,
/// works, and stops in good order when standard input closes.
///
/// # Errors
/// When the database cannot be opened, read or written, or the ledger cannot grow.
pub fn run(application: &Application) -> anyhow::Result<()> {
    let origin = dataset::origin(&application.dataset)?;
    let client = application.connect(origin.as_ref())?;
    let read = || client.read(&witness(origin.as_ref())).context("a read failed");
    match &application.task {
        Task::Work { load, ledger_directory, epoch_ns } => {
            let writers = application.writers(client.as_ref(), *load, ledger_directory, *epoch_ns)?;
            work(writers, read)?;
        }
        Task::Serve => {
            read()?;
            client.probe().context("a write failed")?;
            Message::Ready(Value::Null).send();
            wait_for_stop();
        }
    }
    client.close()
}

/// Lets all writers write until the application is stopped. Whatever can fail before that, or has to wait for a lock, is
/// over before the first of them begins: nobody starves behind writers of his own.
fn work(writers: Vec<Writer<'_>>, read: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let stop = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(stop);
        let mut threads = Vec::new();
        for writer in writers {
            let (hand, handed) = channel::<Writer<'_>>();
            // A thread that is never handed its writer ends.
            let run = move || handed.recv().map_or(Ok(()), |writer| writer.run(stop));
            let thread = std::thread::Builder::new().spawn_scoped(scope, run);
            threads.push((writer, hand, thread.context("cannot start a thread for each writer")?));
        }
        read()?;
        Message::Ready(Value::Null).send();
        let mut running = Vec::new();
        for (writer, hand, thread) in threads {
            hand.send(writer).map_err(|_| anyhow!("a writer ended before it began"))?;
            running.push(thread);
        }
        wait_for_stop();
        stop.store(true, Ordering::Relaxed);
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a writer panicked"))?)
    })
}

/// The torrent that is read to show that the application answers: one that no write touches, and that was completed, so
/// that it is also in a backup that leaves out what never was.
fn witness(origin: &dyn Origin) -> InfoHash {
    let torrents = (1..=origin.torrents()).filter(|id| role(*id) == Role::Untouched);
    let mut torrents = torrents.map(|id| origin.torrent(id));
    let witness = torrents.find(|torrent| torrent.completed > 0);
    witness.unwrap_or_else(|| origin.torrent(1)).info_hash
}

impl Application {
    /// All writers, with everything open that they need.
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
            // SQLite does not tell why it cannot open a file.
            let shortage = descriptors::shortage().filter(|_| is_last || writer.is_err());
            let writer = shortage.map_or(writer, |shortage| Err(anyhow!(shortage)));
            writers.push(writer.with_context(|| format!("writer {} of {all} cannot begin", index + 1))?);
        }
        Ok(writers)
    }

    fn connect<'a>(&'a self, origin: &'a dyn Origin) -> anyhow::Result<Box<dyn Client + 'a>> {
        match &self.target {
            Target::Sqlite(target) => sqlite::connect(target, &self.model, origin),
            Target::Mysql(address) => mysql::connect(address, &self.model, origin),
            Target::Tracker(target) => tracker::connect(target, &self.model, origin),
        }
    }
}

/// Returns when the harness closes standard input, or is gone.
fn wait_for_stop() {
    let mut rest = Vec::new();
    // An unreadable standard input is a harness that is gone.
    let _ = std::io::stdin().lock().read_to_end(&mut rest);
}

/// A writer sleeps at most this long at once, so that it notices a stop.
const NAP_NS: u64 = 20_000_000;
/// A writer that has no pace rests this long after a write that was not acknowledged: where nobody is there, or no disk
/// space, refusals come at once, and would take the machine and fill the ledger.
const REST: Duration = Duration::from_millis(5);

struct Writer<'a> {
    index: u32,
    ledger: LedgerWriter,
    schedule: Schedule,
    epoch_ns: u64,
    session: Box<dyn Session + 'a>,
}

impl<'a> Writer<'a> {
    /// A writer that goes on where the ledger of an earlier process ends.
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
            // An application that cannot write any more is none: the harness has to see it end.
            Message::Error(error.into()).send();
            std::process::exit(1);
        }
        self.session.close()
    }

    fn write_until(&mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        // Sleeps end on time instead of up to 50 us late.
        nix::sys::prctl::set_timerslack(1)?;
        let mut due_ns = self.catch_up()?;
        while let Some(due) = due_ns.filter(|due| sleep_until(*due, stop)) {
            let index = self.ledger.next_index();
            self.ledger.send(due, now_ns()).context("the ledger cannot grow")?;
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

    /// Enters what was due while nobody ran, which found the application down, and gives the next due time.
    fn catch_up(&mut self) -> anyhow::Result<Option<u64>> {
        let may_miss = self.ledger.next_index() > 0 && !self.schedule.is_closed();
        let mut due_ns = self.next_due_ns();
        let now = now_ns();
        while let Some(due) = due_ns.filter(|due| may_miss && *due < now) {
            self.ledger.miss(due, now).context("the ledger cannot grow")?;
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

/// False when the application is to stop.
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
        // A signal only ends the nap early.
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use model::schedule::{Arrivals, Pattern, Rate};

    /// Answers the same to every write, at once.
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
