//! Jobs that run in a process of their own: this same program, started again with [`ARGUMENT`].
//!
//! A job in its own process can be killed, its resources are measured separately from the harness, and it may crash on a
//! damaged database without ending the trial. The process reads the job from standard input and prints one JSON message
//! per line: progress, then the answer. Each job is a type beside the code that does its work; the list of all jobs is
//! where the program begins, which is the only place that knows them all.

use std::io::{BufRead, Write};

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// The hidden subcommand that makes this program a worker.
pub const ARGUMENT: &str = "worker";

/// Work that a process of its own does. The job is sent to it in serialised form.
pub trait Job: Serialize + DeserializeOwned {
    /// Identifies the job, and names the worker in messages unless [`Job::title`] says otherwise.
    const NAME: &'static str;

    /// What it returns.
    type Answer: Serialize + DeserializeOwned;

    /// What messages call the worker.
    fn title(&self) -> String {
        Self::NAME.to_owned()
    }

    /// Does the work, in the worker process.
    ///
    /// # Errors
    /// What went wrong; the harness gets it as a [`Failure`].
    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Self::Answer>;
}

type Run = fn(Value, &mut dyn FnMut(Progress)) -> anyhow::Result<Value>;

/// An entry of the list of jobs that a worker can do.
pub struct JobEntry {
    name: &'static str,
    run: Run,
}

impl JobEntry {
    /// The entry of a job.
    pub const fn of<J: Job>() -> JobEntry {
        JobEntry {
            name: J::NAME,
            run: |job, report| {
                let job: J = serde_json::from_value(job)?;
                Ok(serde_json::to_value(job.run(report)?)?)
            },
        }
    }
}

/// A job on its way to a worker.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    name: String,
    job: T,
}

/// The line that a worker is given to do a job.
///
/// # Errors
/// When the job cannot be serialised.
pub fn line_for<J: Job>(job: &J) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Envelope { name: J::NAME.to_owned(), job })?;
    line.push(b'\n');
    Ok(line)
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

/// The whole life of a worker that can do these jobs. Returns its exit code. `attributed` marks errors that the machine
/// caused with [`Error::environment`], if their types do not show it here.
pub fn main<'a>(
    jobs: impl IntoIterator<Item = &'a JobEntry>,
    attributed: fn(anyhow::Error) -> anyhow::Error,
) -> i32 {
    match work(jobs).map_err(attributed) {
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

fn work<'a>(jobs: impl IntoIterator<Item = &'a JobEntry>) -> anyhow::Result<Value> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the job")?;
    let envelope: Envelope<Value> =
        serde_json::from_str(&line).context("a worker is started by the harness, not by hand")?;
    let entry = jobs.into_iter().find(|entry| entry.name == envelope.name);
    let entry = entry.ok_or_else(|| anyhow!("this program has no job '{}'", envelope.name))?;
    (entry.run)(envelope.job, &mut |progress| Message::Progress(progress).send())
}
