//! The embedded application: a process of its own whose writers follow the schedule, write to the database
//! with the tracker's schema and statements, and enter every write into the ledger.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{self, DatasetSpec, Origin};
use crate::measure::clock::now_ns;
use crate::worker::Message;
use crate::workload::ledger::LedgerWriter;
use crate::workload::model::{Model, stamp};
use crate::workload::schedule::{Load, Schedule};
use crate::workload::statements::{Statements, UPSERT, text};

/// SQLite's ways to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalMode {
    /// Write-ahead log.
    Wal,
    /// Rollback journal, deleted at each commit: SQLite's default, and what the tracker leaves it in.
    Delete,
}

impl JournalMode {
    /// The name in SQL and in records.
    pub fn name(self) -> &'static str {
        match self {
            JournalMode::Wal => "wal",
            JournalMode::Delete => "delete",
        }
    }
}

/// SQLite's `synchronous` setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// Never waits for the disk.
    Off,
    /// WAL: waits at checkpoints only.
    Normal,
    /// Waits at each commit.
    #[default]
    Full,
    /// As `full`, and for the directory of a rollback journal.
    Extra,
}

impl Synchronous {
    /// The name in SQL and in records.
    pub fn name(self) -> &'static str {
        match self {
            Synchronous::Off => "off",
            Synchronous::Normal => "normal",
            Synchronous::Full => "full",
            Synchronous::Extra => "extra",
        }
    }
}

/// What the application needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Application {
    /// The live database.
    pub database: PathBuf,
    /// Journal mode to set.
    pub journal_mode: JournalMode,
    /// `synchronous` of each connection.
    pub synchronous: Synchronous,
    /// How long a write waits for a lock before it is refused.
    pub busy_timeout_ms: u64,
    /// What the database was generated from.
    pub dataset: DatasetSpec,
    /// What the writes are.
    pub model: Model,
    /// What it does once it is open.
    pub task: Task,
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
    let connection = application.open()?;
    let read = "SELECT completed FROM torrents WHERE info_hash = ?1";
    let hash = origin.torrent(1).info_hash;
    let _: i64 = connection.query_row(read, [text(&hash)], |row| row.get(0)).context("a read failed")?;
    let stop = AtomicBool::new(false);
    let Task::Work { load, ledger_directory, epoch_ns } = &application.task else {
        let probe = application.model.probe_info_hash();
        connection.execute(UPSERT, params![text(&probe), stamp(0)]).context("a write failed")?;
        Message::Ready(Value::Null).send();
        wait_for_stop();
        return close(connection);
    };
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for index in 0..application.model.writers {
            let writer = Writer {
                model: &application.model,
                origin: origin.as_ref(),
                index,
                ledger: LedgerWriter::open(ledger_directory, index).context("cannot open the ledger")?,
                schedule: Schedule::new(*load, application.model.seed, index, application.model.writers),
                epoch_ns: *epoch_ns,
                stop: &stop,
            };
            let connection = application.open()?;
            writers.push(scope.spawn(move || {
                if let Err(error) = writer.run(&connection) {
                    // An application that cannot write any more is none: the harness has to see it end.
                    Message::Error(format!("{error:#}")).send();
                    std::process::exit(1);
                }
                close(connection)
            }));
        }
        Message::Ready(Value::Null).send();
        wait_for_stop();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer panicked"))??;
        }
        // The last connection to close folds the write-ahead log back into the database.
        close(connection)
    })
}

impl Application {
    fn open(&self) -> anyhow::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)
            .with_context(|| format!("cannot open {}", self.database.display()))?;
        connection.busy_timeout(Duration::from_millis(self.busy_timeout_ms))?;
        connection.pragma_update(None, "journal_mode", self.journal_mode.name())?;
        connection.pragma_update(None, "synchronous", self.synchronous.name())?;
        Ok(connection)
    }
}

fn close(connection: Connection) -> anyhow::Result<Value> {
    connection.close().map_err(|(_, error)| error).context("cannot close the database")?;
    Ok(Value::Null)
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
    model: &'a Model,
    origin: &'a dyn Origin,
    index: u32,
    ledger: LedgerWriter,
    schedule: Schedule,
    epoch_ns: u64,
    stop: &'a AtomicBool,
}

impl Writer<'_> {
    fn run(mut self, connection: &Connection) -> anyhow::Result<()> {
        // Sleeps end on time instead of up to 50 us late.
        nix::sys::prctl::set_timerslack(1)?;
        let mut statements = Statements::prepare(connection)?;
        let mut due_ns = self.resume()?;
        while let Some(due) = due_ns.filter(|due| self.sleep_until(*due)) {
            let index = self.ledger.next_index();
            self.ledger.send(due, now_ns()).context("the ledger cannot grow")?;
            match self.write(index, &mut statements, connection) {
                Answer::Committed => self.ledger.acknowledge(now_ns()),
                Answer::RolledBack => self.ledger.refuse(now_ns()),
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

    fn write(&self, index: u64, statements: &mut Statements<'_>, connection: &Connection) -> Answer {
        let committed = match statements.change(self.model, self.origin, self.index, index) {
            Ok(()) => statements.commit(),
            Err(_) => {
                // Some errors have rolled back already; then there is nothing left to do.
                let _ = connection.execute_batch("ROLLBACK");
                return Answer::RolledBack;
            }
        };
        match committed {
            Ok(()) => Answer::Committed,
            // A commit that meets a lock leaves its transaction open.
            Err(_) if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_ok() => {
                Answer::RolledBack
            }
            Err(_) => Answer::None,
        }
    }
}

/// What the database said to a write.
enum Answer {
    /// It is in.
    Committed,
    /// It is not in.
    RolledBack,
    /// A commit failed in a way that leaves open whether it is in.
    None,
}
