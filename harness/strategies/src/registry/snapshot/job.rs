//! The job of a worker: takes a snapshot while a transaction or a lock is held.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use engines::mysql::connection::{Address, Connection};
use machine::file_system::{BTRFS, QUIET_LVM};
use machine::tool::CP;
use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use super::settings::{Hold, Lock, Order, Snapshot};
use crate::contract::Definition;
use crate::files;
use crate::sqlite_tools::open_live;

/// The snapshot to take.
#[derive(Serialize, Deserialize)]
pub(super) struct TakeSnapshot {
    pub(super) data: PathBuf,
    /// A directory that does not exist yet.
    pub(super) target: PathBuf,
    pub(super) guard: Guard,
    pub(super) capture: Capture,
}

/// The transaction or lock that is held while the snapshot is taken.
#[derive(Serialize, Deserialize)]
pub(super) enum Guard {
    Nothing,
    /// A transaction on the SQLite file.
    Transaction {
        begin: String,
        busy_timeout_ms: u64,
    },
    /// A lock of the MySQL server.
    Lock {
        server: Address,
        lock: String,
        unlock: String,
    },
}

/// How the data is captured.
#[derive(Serialize, Deserialize)]
pub(super) enum Capture {
    /// A snapshot of the data's directory as a whole.
    Subvolume,
    /// Reflinks of the database and of SQLite's other files, one after the other.
    Reflinks { order: Order, pause_ms: u64 },
    /// A snapshot of the whole volume that holds the data.
    Volume { command: Vec<String> },
}

impl Hold {
    pub(super) fn guard(self, busy_timeout_ms: u64) -> Guard {
        let begin = match self {
            Hold::Nothing => return Guard::Nothing,
            // A transaction begins with its first read.
            Hold::Read => "BEGIN; SELECT count(*) FROM sqlite_schema",
            Hold::Write => "BEGIN IMMEDIATE",
        };
        Guard::Transaction { begin: begin.to_owned(), busy_timeout_ms }
    }
}

impl Lock {
    pub(super) fn guard(self, server: &Address) -> Guard {
        let (lock, unlock) = match self {
            Lock::Nothing => return Guard::Nothing,
            Lock::Instance => ("LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"),
            Lock::Global => ("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"),
        };
        Guard::Lock { server: server.clone(), lock: lock.to_owned(), unlock: unlock.to_owned() }
    }
}

impl Job for TakeSnapshot {
    const NAME: &'static str = Snapshot::CARD.name;
    type Answer = ();

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        match &self.guard {
            Guard::Nothing => self.take(),
            Guard::Transaction { begin, busy_timeout_ms } => {
                let connection = open_live(&self.data, Duration::from_millis(*busy_timeout_ms))?;
                connection.execute_batch(begin).context("cannot begin the transaction to hold")?;
                self.take()?;
                connection.execute_batch("ROLLBACK").context("cannot end the held transaction")
            }
            Guard::Lock { server, lock, unlock } => {
                let mut server = Connection::connect(server)?;
                server.execute(lock).with_context(|| format!("MySQL rejected {lock}"))?;
                self.take()?;
                server.execute(unlock).with_context(|| format!("MySQL rejected {unlock}"))?;
                Ok(server.close()?)
            }
        }
    }
}

impl TakeSnapshot {
    fn take(&self) -> anyhow::Result<()> {
        match &self.capture {
            Capture::Volume { command } => {
                let (program, arguments) = command.split_first().context("a command has a name")?;
                let (name, value) = QUIET_LVM;
                run(Command::new(program).args(arguments).env(name, value))
            }
            Capture::Subvolume => {
                let directory = self.data.parent().context("a database lies in a directory")?;
                let words = ["subvolume", "snapshot", "-r"];
                run(Command::new(BTRFS.command).args(words).args([directory, &self.target]))
            }
            Capture::Reflinks { order, pause_ms } => {
                std::fs::create_dir(&self.target).context("cannot make the artifact's directory")?;
                let pause = || std::thread::sleep(Duration::from_millis(*pause_ms));
                match order {
                    Order::DatabaseFirst => {
                        self.share(&self.data)?;
                        pause();
                        self.share_what_is_beside()
                    }
                    Order::WalFirst => {
                        self.share_what_is_beside()?;
                        pause();
                        self.share(&self.data)
                    }
                }
            }
        }
    }

    fn share_what_is_beside(&self) -> anyhow::Result<()> {
        let is_held = !matches!(self.guard, Guard::Nothing);
        for file in files::of_database(&self.data).iter().skip(1) {
            // While a transaction is held, no uncommitted page reaches the database: there is nothing to roll back.
            if !(is_held && file.to_string_lossy().ends_with("-journal")) {
                self.share(file)?;
            }
        }
        Ok(())
    }

    fn share(&self, file: &Path) -> anyhow::Result<()> {
        let shared = run(Command::new(CP.command)
            .args(["-a", "-v", "--reflink=always", "--"])
            .args([file, &self.target]));
        // A journal that has disappeared meanwhile is not an error.
        if file.exists() { shared } else { Ok(()) }
    }
}

/// Runs a command whose output goes to the record.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} ended with {}: {}", command.get_program(), output.status, said.trim());
    }
    Ok(())
}
