//! Jobs that run in a separate process: this same program, started again with [`ARGUMENT`].
//!
//! A separate process can be killed, is measured separately from the harness, and may crash on a damaged database
//! without ending the trial. It reads the job from standard input and prints one JSON message a line: progress, then
//! the answer.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{self, DatasetSpec};
use crate::error::Error;
use crate::strategy;
use crate::verify;
use crate::workload::application;

/// The hidden subcommand that makes this program a worker.
pub const ARGUMENT: &str = "worker";

/// The jobs that a worker can do.
#[derive(Serialize, Deserialize)]
pub enum Job {
    /// Be the embedded application until standard input closes.
    Application(application::Application),
    /// The part of a strategy that is implemented in the harness, without an external tool.
    Strategy {
        /// The strategy's name.
        name: String,
        /// The task, in the strategy's own format.
        task: Value,
    },
    /// Allocate and release free memory, so that it is available at once later.
    TouchMemory {
        /// Amount in bytes.
        bytes: u64,
    },
    /// Compute the digest of a source database.
    Digest {
        /// The database.
        database: verify::Database,
        /// The dataset from which it was generated.
        dataset: DatasetSpec,
        /// How thoroughly it is checked; `None` for a generated one.
        integrity: Option<verify::Integrity>,
    },
    /// Prepare a copy of the user's own database for trials.
    Adopt {
        /// The copy.
        copy: PathBuf,
        /// Random seed of the torrents that are added.
        seed: u64,
    },
    /// Copy the user's own database while it is being written to.
    CopyOnline {
        /// The database.
        file: PathBuf,
        /// Path of the copy.
        to: PathBuf,
    },
    /// Inspect an existing backup, for which there is no ledger.
    Inspect {
        /// A private copy of it.
        backup: PathBuf,
        /// A private copy of the live database, if it was given.
        live: Option<PathBuf>,
    },
    /// Find the acknowledged writes that are missing in the application's own database.
    Unwritten {
        /// What to check.
        request: Box<verify::Request>,
        /// The dataset from which the database was generated.
        dataset: DatasetSpec,
    },
    /// Compare a restored database with the ledger.
    Verify {
        /// What to check.
        request: Box<verify::Request>,
        /// The dataset from which the database was generated.
        dataset: DatasetSpec,
    },
}

impl Job {
    /// The worker's name in messages.
    pub fn name(&self) -> String {
        match self {
            Job::Application(_) => "embedded application".into(),
            Job::Strategy { name, .. } => name.clone(),
            Job::TouchMemory { .. } => "memory".into(),
            Job::Digest { .. } => "digest".into(),
            Job::Adopt { .. } => "adoption".into(),
            Job::CopyOnline { .. } => "online copy".into(),
            Job::Inspect { .. } => "inspection of a backup".into(),
            Job::Unwritten { .. } => "check for lost writes".into(),
            Job::Verify { .. } => "verifier".into(),
        }
    }
}

/// The progress of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Remaining share, from 1 to 0.
    pub remaining: f64,
    /// Number of restarts.
    pub restarts: u64,
    /// Pages copied, including repeated ones; 0 for jobs that copy none.
    pub pages_copied: u64,
    /// Time of one undisturbed pass in seconds, from the speed so far; `None` for jobs without passes.
    pub pass_seconds: Option<f64>,
}

impl Progress {
    /// A job that has done this share of its work, from 0 to 1.
    pub fn done(share: f64) -> Progress {
        Progress { remaining: 1.0 - share, ..Progress::default() }
    }
}

/// One line from a worker.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The worker is ready: its first answer.
    Ready(Value),
    /// Its progress.
    Progress(Progress),
    /// It has finished, with this answer.
    Done(Value),
    /// It has failed.
    Error(Failure),
}

/// Why a job has failed: an [`Error`] in serializable form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Bad input.
    Input(String),
    /// Something is missing on the machine, or it rejected an operation.
    Environment(String),
    /// A bug, or an error of SQLite or a server that only the caller can judge.
    Bug(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::Input(message) | Failure::Environment(message) | Failure::Bug(message)) = self;
        f.write_str(message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match Error::from(error) {
            Error::Input(message) => Failure::Input(message),
            Error::Environment(message) => Failure::Environment(message),
            error @ (Error::Interrupted | Error::Bug(_)) => Failure::Bug(error.to_string()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Input(message) => Error::Input(message),
            Failure::Environment(message) => Error::Environment(message),
            Failure::Bug(message) => Error::Bug(anyhow::Error::msg(message)),
        }
    }
}

impl Message {
    /// Prints the message for the harness.
    pub fn send(&self) {
        let mut stdout = std::io::stdout().lock();
        // Errors are ignored: if the harness is gone, this worker is about to be killed.
        let _ = serde_json::to_writer(&mut stdout, self);
        let _ = stdout.write_all(b"\n");
        let _ = stdout.flush();
    }
}

/// Runs a worker from start to end. Returns its exit code.
pub fn main() -> i32 {
    match work() {
        Ok(answer) => {
            Message::Done(answer).send();
            0
        }
        Err(error) => {
            Message::Error(error.into()).send();
            1
        }
    }
}

fn work() -> anyhow::Result<Value> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the job")?;
    let job = serde_json::from_str(&line).context("a worker is started by the harness, not by hand")?;
    let report = &mut |progress| Message::Progress(progress).send();
    match job {
        Job::Application(application) => application::run(&application),
        Job::Strategy { name, task } => strategy::named(&name)?.work(task, report),
        Job::TouchMemory { bytes } => crate::measure::memory::touch(bytes).map(|()| Value::Null),
        Job::Digest { database, dataset, integrity } => {
            let origin = dataset::origin(&dataset)?;
            let on_progress = &mut |done| report(Progress::done(done));
            let content = verify::content_digest(&database, origin.as_ref(), integrity, on_progress)?;
            Ok(serde_json::to_value(content)?)
        }
        Job::Adopt { copy, seed } => Ok(serde_json::to_value(dataset::own::adopt(&copy, seed)?)?),
        Job::CopyOnline { file, to } => dataset::own::copy_online(&file, &to).map(|()| Value::Null),
        Job::Inspect { backup, live } => {
            Ok(serde_json::to_value(verify::inspect(&backup, live.as_deref())?)?)
        }
        Job::Unwritten { request, dataset } => {
            let origin = dataset::origin(&dataset)?;
            Ok(serde_json::to_value(verify::unwritten(&request, origin.as_ref())?)?)
        }
        Job::Verify { request, dataset } => {
            let origin = dataset::origin(&dataset)?;
            let on_progress = &mut |done| report(Progress::done(done));
            Ok(serde_json::to_value(verify::verify(&request, origin.as_ref(), on_progress)?)?)
        }
    }
}
