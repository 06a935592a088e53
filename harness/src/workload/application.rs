//! What writes: a process of its own whose writers follow the schedule, send their writes to a [`Target`], and
//! enter every one of them into the ledger.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{self, DatasetSpec, Origin};
use crate::measure::clock::now_ns;
use crate::mysql::Address;
use crate::worker::Message;
use crate::workload::ledger::LedgerWriter;
use crate::workload::model::{InfoHash, Model, Role, role};
use crate::workload::schedule::{Load, Schedule};
use crate::workload::sqlite::SqliteTarget;
use crate::workload::tracker::TrackerTarget;
use crate::workload::{mysql, sqlite, tracker};

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

/// The whole life of the application: opens, answers a read (and a write, to serve), says that it is ready,
/// works, and stops in good order when standard input closes.
///
/// # Errors
/// When the database cannot be opened, read or written, or the ledger cannot grow.
pub fn run(application: &Application) -> anyhow::Result<Value> {
    let origin = dataset::origin(&application.dataset)?;
    let client = application.connect(origin.as_ref())?;
    client.read(&witness(origin.as_ref())).context("a read failed")?;
    let Task::Work { load, ledger_directory, epoch_ns } = &application.task else {
        client.probe().context("a write failed")?;
        Message::Ready(Value::Null).send();
        wait_for_stop();
        client.close()?;
        return Ok(Value::Null);
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for index in 0..application.model.writers {
            let writer = Writer {
                index,
                ledger: LedgerWriter::open(ledger_directory, index).context("cannot open the ledger")?,
                schedule: Schedule::new(*load, application.model.seed, index, application.model.writers),
                epoch_ns: *epoch_ns,
                stop: &stop,
            };
            let mut session = client.session()?;
            writers.push(scope.spawn(move || {
                if let Err(error) = writer.run(session.as_mut()) {
                    // An application that cannot write any more is none: the harness has to see it end.
                    Message::Error(format!("{error:#}")).send();
                    std::process::exit(1);
                }
                session.close()
            }));
        }
        Message::Ready(Value::Null).send();
        wait_for_stop();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer panicked"))??;
        }
        anyhow::Ok(())
    })?;
    client.close()?;
    Ok(Value::Null)
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

struct Writer<'a> {
    index: u32,
    ledger: LedgerWriter,
    schedule: Schedule,
    epoch_ns: u64,
    stop: &'a AtomicBool,
}

impl Writer<'_> {
    fn run(mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        // Sleeps end on time instead of up to 50 us late.
        nix::sys::prctl::set_timerslack(1)?;
        let mut due_ns = self.resume()?;
        while let Some(due) = due_ns.filter(|due| self.sleep_until(*due)) {
            let index = self.ledger.next_index();
            self.ledger.send(due, now_ns()).context("the ledger cannot grow")?;
            match session.write(self.index, index) {
                Answer::Acknowledged => self.ledger.acknowledge(now_ns()),
                Answer::Refused => self.ledger.refuse(now_ns()),
                Answer::None => {}
            }
            due_ns = self.next_due_ns();
        }
        Ok(())
    }

    /// Catches up with the ledger of an earlier process, and gives the next due time. What was due while
    /// nobody ran found the application down.
    fn resume(&mut self) -> anyhow::Result<Option<u64>> {
        for _ in 0..self.ledger.next_index() {
            self.schedule.next_due_ns();
        }
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

    /// False when the application is to stop.
    fn sleep_until(&self, due_ns: u64) -> bool {
        loop {
            if self.stop.load(Ordering::Relaxed) {
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
}
