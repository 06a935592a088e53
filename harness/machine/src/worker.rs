//! Jobs that run in a process of their own: this same program, started again with [`ARGUMENT`].
//!
//! A job of its own process can be killed, measured apart from the harness, and may crash on a damaged
//! database without taking the trial with it. It reads the job from standard input and prints one JSON
//! message a line: progress, then the answer.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use model::dataset::{self, DatasetSpec};
use crate::error::Error;
use strategies::strategy;
use model::verify;
use engines::application;

/// The hidden subcommand that makes this program a worker.
pub const ARGUMENT: &str = "worker";

/// What a worker can do.
#[derive(Serialize, Deserialize)]
pub enum Job {
    /// Be the embedded application until standard input closes.
    Application(application::Application),
    /// What a strategy does itself, without a tool.
    Strategy {
        /// The strategy's name.
        name: String,
        /// What it has to do, in its own terms.
        task: Value,
    },
    /// Use memory that is free and give it back, so that it is at hand.
    TouchMemory {
        /// How much.
        bytes: u64,
    },
    /// Compute the digest of a source database.
    Digest {
        /// The database.
        database: verify::Database,
        /// What it was generated from.
        dataset: DatasetSpec,
        /// How thoroughly it is examined; null for a generated one.
        integrity: Option<verify::Integrity>,
    },
    /// Make a copy of a database of the user's own ready for trials.
    Adopt {
        /// The copy.
        copy: PathBuf,
        /// What the torrents that are added follow from.
        seed: u64,
    },
    /// Copy a database of the user's own that somebody writes to.
    CopyOnline {
        /// The database.
        file: PathBuf,
        /// Where the copy goes.
        to: PathBuf,
    },
    /// Look at a backup of which no ledger tells what it has to hold.
    Inspect {
        /// A private copy of it.
        backup: PathBuf,
        /// A private copy of the live database, where it was given.
        live: Option<PathBuf>,
    },
    /// Find the acknowledged writes that the application's own database lacks.
    Unwritten {
        /// What is to be looked at.
        request: Box<verify::Request>,
        /// What the database was generated from.
        dataset: DatasetSpec,
    },
    /// Hold a restored database against the ledger.
    Verify {
        /// What is to be checked.
        request: Box<verify::Request>,
        /// What the database was generated from.
        dataset: DatasetSpec,
    },
}

impl Job {
    /// What messages call the worker.
    pub fn name(&self) -> String {
        match self {
            Job::Application(_) => "embedded application".into(),
            Job::Strategy { name, .. } => name.clone(),
            Job::TouchMemory { .. } => "memory".into(),
            Job::Digest { .. } => "digest".into(),
            Job::Adopt { .. } => "adoption".into(),
            Job::CopyOnline { .. } => "online copy".into(),
            Job::Inspect { .. } => "inspection of a backup".into(),
            Job::Unwritten { .. } => "examination of what was lost".into(),
            Job::Verify { .. } => "verifier".into(),
        }
    }
}

/// How far a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What is left, from 1 to 0.
    pub remaining: f64,
    /// How often it began again.
    pub restarts: u64,
    /// Pages copied, repeated ones included; 0 for jobs that copy none.
    pub pages_copied: u64,
    /// Time of one undisturbed pass from the speed so far; `None` for jobs without passes.
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
    /// It serves: the answer to what it was asked to show first.
    Ready(Value),
    /// How far it is.
    Progress(Progress),
    /// It has finished, with this answer.
    Done(Value),
    /// It has failed.
    Error(Failure),
}

/// Why a job has failed: what a worker can tell of an [`Error`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Bad input.
    Input(String),
    /// The machine refuses something.
    Environment(String),
    /// A bug, or what only who gave the job can judge: what SQLite or a server says.
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
        // A harness that is gone does not listen; the worker is about to be killed.
        let _ = serde_json::to_writer(&mut stdout, self);
        let _ = stdout.write_all(b"\n");
        let _ = stdout.flush();
    }
}

/// The whole life of a worker. Returns its exit code.
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
