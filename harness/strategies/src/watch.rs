//! Runs a strategy's processes and watches for cancellation, the deadline, and a stall.
//!
//! [`crate::convergence`] defines what counts as a stall.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use machine::container::{Container, Spec};
use machine::error::Error;
use machine::measure::storage::{bytes, sync_tree};
use machine::process::{
    Account, Child, Counters, Group, Launcher, TICK, bytes_written, files_in, open_for_writing,
};
use machine::worker::{Job, Progress};
use serde_json::Value;

use crate::clock::Clock;
use crate::contract::failure::{FailureCause, StrategyFailure};
use crate::contract::measured::{Measured, Passes};
use crate::contract::outcome::{BackupOutcome, BackupResult, RestoreResult};
use crate::convergence::{Convergence, Limits, Look};

/// How often the files of a process that does not report its progress are inspected.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The remaining share of a backup, from 1 to 0, for the sampler. Unknown at first.
#[derive(Clone, Default)]
pub struct Remaining(Arc<AtomicU64>);

impl Remaining {
    /// The remaining share; `None` while unknown.
    pub fn get(&self) -> Option<f64> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            // One is added, because 0 means unknown.
            bits => Some(f64::from_bits(bits) - 1.0),
        }
    }

    fn set(&self, remaining: f64) {
        self.0.store((remaining + 1.0).to_bits(), Ordering::Relaxed);
    }
}

/// What is watched: one operation of a strategy.
pub struct Operation {
    /// Where its result is built. Growth of this directory is progress.
    pub directory: PathBuf,
    /// The live data, whose growth is not progress; `None` for a restore.
    pub live: Option<PathBuf>,
    /// Final size of the result in bytes, for tools that do not report their progress; `None` when unknown: then any
    /// growth counts as progress.
    pub expected_bytes: Option<u64>,
    /// How long it may take.
    pub deadline: Duration,
    /// How long it may run without progress; without limits it never counts as stalled.
    pub limits: Option<Limits>,
    /// Whether the result is made durable at the end; otherwise only what the strategy's own tools do counts.
    pub is_made_durable: bool,
}

/// Runs the processes of one operation of a strategy.
pub struct Watch {
    launcher: Launcher,
    clock: Arc<dyn Clock>,
    operation: Operation,
    began_ns: u64,
    /// The places that grow while the operation makes progress, and their size in bytes before it began.
    growing: Vec<PathBuf>,
    bytes_before: u64,
    convergence: Convergence,
    looked: Duration,
    remaining: Remaining,
    restarts_unreported: bool,
    /// The last progress that a worker process reported.
    progress: Option<Progress>,
    /// Resources used by the processes that have ended.
    counters: Counters,
    /// For how long they ran.
    running: Duration,
    /// The last output of the processes.
    output: String,
}

impl Watch {
    /// Watches an operation from now on.
    pub fn new(launcher: &Launcher, operation: Operation, clock: Arc<dyn Clock>) -> Watch {
        Watch {
            launcher: launcher.clone(),
            began_ns: clock.now_ns(),
            clock,
            growing: vec![operation.directory.clone()],
            bytes_before: 0,
            convergence: Convergence::new(operation.limits.clone(), Duration::ZERO),
            operation,
            looked: Duration::ZERO,
            remaining: Remaining::default(),
            restarts_unreported: false,
            progress: None,
            counters: Counters::default(),
            running: Duration::ZERO,
            output: String::new(),
        }
    }

    /// Starts processes.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// The time now, in nanoseconds of the common clock.
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// The remaining share, for progress displays.
    pub fn remaining(&self) -> Remaining {
        self.remaining.clone()
    }

    /// The greatest progress so far, from 0 to 1; `None` when unknown.
    pub fn furthest(&self) -> Option<f64> {
        let is_known = self.progress.is_some() || self.operation.expected_bytes.is_some();
        is_known.then_some(1.0 - self.convergence.low())
    }

    /// The final size of the result is not known, for example because it is compressed: any growth is progress.
    pub fn expect_any_size(&mut self) {
        self.operation.expected_bytes = None;
    }

    /// The processes restart after a commit and do not report it. The time of a pass is computed from the rate at which
    /// they write. This does not count pages that are overwritten in a process's own cache before they reach the file
    /// (2 MB for SQLite), so the result is slightly too long when restarts come that quickly.
    pub fn expect_unreported_restarts(&mut self) {
        self.restarts_unreported = true;
    }

    /// Begins another part of the operation: from now on, growth of these places counts as progress, towards
    /// `expected_bytes` more if that is known. Its processes may report their progress or not, whatever those before did.
    pub fn begin_part(&mut self, places: Vec<PathBuf>, expected_bytes: Option<u64>) {
        self.bytes_before = places.iter().map(|place| bytes(place)).sum();
        self.growing = places;
        self.operation.expected_bytes = expected_bytes;
        self.progress = None;
        self.convergence.begin_anew(self.elapsed());
    }

    /// Starts one process of a pipeline. Its resources are counted as the strategy's.
    ///
    /// # Errors
    /// When it cannot be started, although its tool is on PATH.
    pub fn spawn(&self, command: Command) -> Result<Child, StrategyFailure> {
        Ok(self.launcher.spawn(Account::Strategy, command)?)
    }

    /// Runs the processes of one pipeline until all have succeeded.
    ///
    /// # Errors
    /// The failure of a process ([`ProcessError`](machine::process::ProcessError)), or why the processes were stopped.
    pub fn run(&mut self, children: Vec<Child>) -> Result<(), StrategyFailure> {
        self.finish(children).map(|_| ())
    }

    /// Lets a worker do one of the strategy's jobs.
    ///
    /// # Errors
    /// As [`Watch::run`].
    pub fn work<J: Job>(&mut self, job: &J) -> Result<J::Answer, StrategyFailure> {
        let (child, _stdin) = self.launcher.worker(Account::Strategy, job)?;
        let answer = serde_json::from_value(self.finish(vec![child])?);
        let answer = answer.context("a worker's answer does not have the type that its job requires");
        Ok(answer.map_err(Error::from)?)
    }

    fn finish(&mut self, children: Vec<Child>) -> Result<Value, StrategyFailure> {
        let mut group = Group::new(children);
        let started_ns = self.now_ns();
        let outcome = group.wait(|progress| self.observe(progress));
        self.running += self.since(started_ns);
        self.counters.add(&group.counters());
        self.output = group.output();
        let ended = outcome.map_err(|cause| self.failure(cause))?;
        ended.result().map_err(|unsuccessful| self.failure(unsuccessful.into()))
    }

    /// Runs a container until it has succeeded.
    ///
    /// # Errors
    /// [`FailureCause::Failed`] when it exits with an error, otherwise why it was stopped.
    pub fn run_container(&mut self, spec: Spec) -> Result<(), StrategyFailure> {
        let name = spec.name;
        let started_ns = self.now_ns();
        let mut container = Container::start(&self.launcher, Account::Strategy, spec)?;
        let outcome = container.wait(&mut || self.observe(None));
        self.running += self.since(started_ns);
        let (used, output) = match &outcome {
            Ok(exit) => (exit.counters, exit.output.clone()),
            Err(_) => (container.counters(), container.last_lines()),
        };
        self.counters.add(&used.unwrap_or(Counters::UNKNOWN));
        self.output = output;
        let exit = outcome.map_err(|cause| self.failure(cause))?;
        if exit.code == 0 {
            return Ok(());
        }
        Err(self.failed(format!("'{name}' ended with exit status {}: {}", exit.code, exit.output)))
    }

    /// Waits until `condition` holds.
    ///
    /// # Errors
    /// [`FailureCause::Failed`] with the condition's error, or why the wait was stopped.
    pub fn wait_until(
        &mut self,
        condition: &mut dyn FnMut() -> Result<bool, String>,
    ) -> Result<(), StrategyFailure> {
        while !condition().map_err(|message| self.failed(message))? {
            self.pause(TICK)?;
        }
        Ok(())
    }

    /// Checks the watched operation once, then sleeps for `moment`.
    ///
    /// # Errors
    /// Why the operation must be stopped.
    pub fn pause(&mut self, moment: Duration) -> Result<(), StrategyFailure> {
        self.observe(None).map_err(|cause| self.failure(cause))?;
        self.clock.sleep(moment);
        Ok(())
    }

    /// Makes the result durable (fsync), unless the operation leaves that to the strategy's own tools. Returns when that
    /// was complete, in nanoseconds of the common clock.
    ///
    /// # Errors
    /// [`FailureCause::Failed`] when the disk is full, [`FailureCause::Error`] for any other I/O error.
    pub fn make_durable(&self) -> Result<u64, StrategyFailure> {
        if !self.operation.is_made_durable {
            return Ok(self.now_ns());
        }
        let directory = &self.operation.directory;
        sync_tree(directory).map_err(|error| {
            let message = format!("cannot make {} durable: {error}", directory.display());
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => self.failed(message),
                _ => Error::Environment(message).into(),
            }
        })?;
        Ok(self.now_ns())
    }

    /// Makes the artifact durable: the backup is complete then.
    ///
    /// # Errors
    /// As [`Watch::make_durable`].
    pub fn complete_backup(&self) -> BackupResult {
        let durable_ns = self.make_durable()?;
        Ok(BackupOutcome { durable_ns, measured: self.measured() })
    }

    /// Makes the restored files durable: the restore is complete then. A server makes its own data durable.
    ///
    /// # Errors
    /// As [`Watch::make_durable`].
    pub fn complete_restore(&self) -> RestoreResult {
        self.make_durable()?;
        Ok(self.measured())
    }

    /// What was measured so far.
    pub fn measured(&self) -> Measured {
        Measured {
            began_ns: None,
            older_backup_ns: None,
            counters: self.counters,
            replication: None,
            output: self.output.clone(),
            furthest: self.furthest(),
            passes: self.passes(&self.counters, self.running),
        }
    }

    /// What was measured so far of an operation that is a part of continuous replication: the resources that it has
    /// used, and for how long.
    pub fn measured_of_replication(&self, used: Counters, running: Duration) -> Measured {
        Measured { replication: Some(used), passes: self.passes(&used, running), ..self.measured() }
    }

    fn passes(&self, used: &Counters, running: Duration) -> Passes {
        let copied = self.progress.filter(|progress| progress.pages_copied > 0);
        Passes {
            restarts: copied.map(|progress| progress.restarts),
            pages_copied: copied.map(|progress| progress.pages_copied),
            seconds: if self.restarts_unreported {
                self.pass_seconds(used, running)
            } else {
                self.progress.and_then(|progress| progress.pass_seconds)
            },
            unreported: self.restarts_unreported,
        }
    }

    fn pass_seconds(&self, used: &Counters, running: Duration) -> Option<f64> {
        let expected = self.operation.expected_bytes? as f64;
        let written = used.io?.bytes_written as f64;
        // Less than one pass says little about the time of one.
        (written >= expected).then(|| running.as_secs_f64() * expected / written)
    }

    /// The operation ended without success, for this cause.
    pub fn failure(&self, cause: FailureCause) -> StrategyFailure {
        StrategyFailure { cause, measured: Box::new(self.measured()) }
    }

    /// The strategy failed, with this message.
    pub fn failed(&self, message: String) -> StrategyFailure {
        self.failure(FailureCause::Failed(message))
    }

    fn since(&self, from_ns: u64) -> Duration {
        Duration::from_nanos(self.now_ns().saturating_sub(from_ns))
    }

    fn elapsed(&self) -> Duration {
        self.since(self.began_ns)
    }

    fn observe(&mut self, progress: Option<Progress>) -> Result<(), FailureCause> {
        self.launcher.cancel.check()?;
        let now = self.elapsed();
        if let Some(progress) = progress {
            self.progress = Some(progress);
            self.remaining.set(progress.remaining);
            self.convergence.tell(now, progress.remaining);
        } else if self.progress.is_none() {
            self.observe_files(now);
        }
        if now >= self.operation.deadline {
            return Err(FailureCause::TimedOut);
        }
        self.convergence.stall(now).map_or(Ok(()), |reason| Err(FailureCause::Stalled(reason)))
    }

    /// Inspects how the files have grown, for processes that do not report their progress.
    fn observe_files(&mut self, now: Duration) {
        let expected_bytes = self.operation.expected_bytes;
        let all: u64 = self.growing.iter().map(|place| bytes(place)).sum();
        let grown = all.saturating_sub(self.bytes_before);
        if let Some(expected) = expected_bytes {
            self.remaining.set(1.0 - (grown as f64 / expected as f64).min(1.0));
        }
        self.convergence.grow(now, grown, expected_bytes);
        if self.convergence.asks_for_a_look() && now >= self.looked + LOOK_EVERY {
            self.looked = now;
            let look = self.look();
            self.convergence.look(now, look);
        }
    }

    fn look(&self) -> Look {
        let processes = self.launcher.processes().running(Account::Strategy);
        let placed: Vec<_> = self.growing.iter().flat_map(|place| files_in(place)).collect();
        let mut elsewhere = open_for_writing(&processes);
        let live = self.operation.live.iter().flat_map(|live| files_in(live));
        let known: HashSet<_> = live.chain(placed.iter().copied()).map(|file| file.identity).collect();
        elsewhere.retain(|file| !known.contains(&file.identity));
        Look { placed, elsewhere, bytes_written: bytes_written(&processes) }
    }
}

#[cfg(test)]
mod tests;
