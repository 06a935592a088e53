//! Runs a strategy's processes and watches for cancellation, the deadline, and a stall.
//!
//! [`crate::convergence`] defines what counts as a stall.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use machine::container::{Container, Spec};
use machine::error::Error;
use machine::measure::clock::now_ns;
use machine::measure::storage::{bytes, sync_tree};
use machine::process::{
    Account, Child, Counters, Ended, Group, Launcher, TICK, bytes_written, files_in, open_for_writing,
};
use machine::worker::Progress;

use crate::convergence::{Convergence, Limits, Look};
use crate::halt::Halt;

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

/// How the duration of a pass is known, for strategies that restart after every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// The strategy has no passes, or its worker reports their duration.
    Reported,
    /// Computed from the rate at which the processes write. This does not count pages that are overwritten in the
    /// process's own cache before they reach the file (2 MB for SQLite), so the result is slightly too long when
    /// restarts come that quickly.
    FromBytesWritten,
}

/// Runs the processes of one operation of a strategy.
pub struct Watch {
    /// Starts processes.
    pub launcher: Launcher,
    /// The remaining share, for progress displays.
    pub remaining: Remaining,
    /// How [`Watch::pass_seconds`] is known.
    pub passes: Passes,
    /// Final size of the artifact in bytes, for tools that do not report their progress; `None` when unknown: then any
    /// growth counts as progress.
    pub expected_bytes: Option<u64>,
    /// The last progress that a worker process reported.
    pub progress: Option<Progress>,
    /// Resources used by the processes that have ended.
    pub counters: Counters,
    /// True when `counters` already includes the replication process: the strategy knows which part of its time counts.
    pub counts_shipper: bool,
    /// The last output of the processes.
    pub output: String,
    /// When the result was durable, by the common clock; `None` until then.
    pub durable_ns: Option<u64>,
    /// When the measured operation began, by the common clock, if it had to wait first; `None`: it began with the call.
    pub began_ns: Option<u64>,
    /// The live data, whose growth is not progress of the backup.
    pub live: Option<PathBuf>,
    directory: PathBuf,
    /// The places that grow while the operation makes progress, and their size in bytes before it began.
    growing: Vec<PathBuf>,
    bytes_before: u64,
    began: Instant,
    deadline: Duration,
    running_seconds: f64,
    convergence: Convergence,
    looked: Duration,
}

impl Watch {
    /// Watches an operation that builds its result in `directory`, from now on. Without `limits` it never counts as
    /// stalled.
    pub fn new(launcher: &Launcher, directory: &Path, deadline: Duration, limits: Option<Limits>) -> Watch {
        Watch {
            launcher: launcher.clone(),
            remaining: Remaining::default(),
            passes: Passes::Reported,
            expected_bytes: None,
            progress: None,
            counters: Counters::default(),
            counts_shipper: false,
            output: String::new(),
            durable_ns: None,
            began_ns: None,
            live: None,
            directory: directory.to_owned(),
            growing: vec![directory.to_owned()],
            bytes_before: 0,
            began: Instant::now(),
            deadline,
            running_seconds: 0.0,
            convergence: Convergence::new(limits, Duration::ZERO),
            looked: Duration::ZERO,
        }
    }

    /// Runs the processes of one pipeline until all have succeeded.
    ///
    /// # Errors
    /// The failure of a process ([`ProcessError`](machine::process::ProcessError)), or why the processes were stopped.
    pub fn run(&mut self, children: Vec<Child>) -> Result<serde_json::Value, Halt> {
        let mut group = Group::new(children);
        let started = Instant::now();
        let outcome = group.wait(|progress| self.observe(progress));
        self.running_seconds += started.elapsed().as_secs_f64();
        self.counters.add(&group.counters());
        self.output = group.output();
        let ended: Ended = outcome?;
        Ok(ended.result()?)
    }

    /// Runs a tools container until it has succeeded.
    ///
    /// # Errors
    /// [`Halt::Failed`] when it exits with an error, otherwise why it was stopped.
    pub fn contain(&mut self, spec: Spec) -> Result<(), Halt> {
        let name = spec.name;
        let started = Instant::now();
        let mut container = Container::start(&self.launcher, Account::Strategy, spec)?;
        let outcome = container.wait(&mut || self.observe(None));
        self.running_seconds += started.elapsed().as_secs_f64();
        if outcome.is_err() {
            self.counters.add(&container.counters().unwrap_or(Counters::UNKNOWN));
            self.output = container.last_lines();
        }
        let exit = outcome?;
        self.counters.add(&exit.counters.unwrap_or(Counters::UNKNOWN));
        self.output.clone_from(&exit.output);
        if exit.code == 0 {
            return Ok(());
        }
        Err(Halt::Failed(format!("'{name}' ended with exit status {}: {}", exit.code, exit.output)))
    }

    /// Waits until `condition` holds.
    ///
    /// # Errors
    /// [`Halt::Failed`] with the condition's error, or why the wait was stopped.
    pub fn wait_until(&mut self, condition: &mut dyn FnMut() -> Result<bool, String>) -> Result<(), Halt> {
        while !condition().map_err(Halt::Failed)? {
            self.pause(TICK)?;
        }
        Ok(())
    }

    /// Checks the watched operation once, then sleeps for `moment`.
    ///
    /// # Errors
    /// Why the operation must be stopped.
    pub fn pause(&mut self, moment: Duration) -> Result<(), Halt> {
        self.observe(None)?;
        std::thread::sleep(moment);
        Ok(())
    }

    /// Begins another part of the operation: from now on, growth of these places counts as progress, towards
    /// `expected_bytes` more if that is known.
    pub fn watch_anew(&mut self, places: Vec<PathBuf>, expected_bytes: Option<u64>) {
        self.bytes_before = places.iter().map(|place| bytes(place)).sum();
        self.growing = places;
        self.expected_bytes = expected_bytes;
        self.convergence.begin_anew(self.began.elapsed());
    }

    /// Records the resources of a process that this watch did not start, and the time for which it was watched.
    pub fn account(&mut self, used: Counters, running: Duration) {
        self.counters = used;
        self.counts_shipper = true;
        self.running_seconds = running.as_secs_f64();
    }

    /// Makes the result durable (fsync) and records when that was complete.
    ///
    /// # Errors
    /// [`Halt::Failed`] when the disk is full, [`Halt::Error`] for any other I/O error.
    pub fn make_durable(&mut self) -> Result<(), Halt> {
        sync_tree(&self.directory).map_err(|error| {
            let message = format!("cannot make {} durable: {error}", self.directory.display());
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Halt::Failed(message),
                _ => Error::Environment(message).into(),
            }
        })?;
        self.durable_ns = Some(now_ns());
        Ok(())
    }

    /// Appends to the recorded output.
    pub fn note_output(&mut self, more: &str) {
        if !self.output.is_empty() && !more.is_empty() {
            self.output.push('\n');
        }
        self.output.push_str(more);
    }

    /// The greatest progress so far, from 0 to 1; `None` when unknown.
    pub fn furthest(&self) -> Option<f64> {
        (self.progress.is_some() || self.expected_bytes.is_some()).then_some(1.0 - self.convergence.low())
    }

    /// The time of one undisturbed pass, if the strategy works in passes.
    pub fn pass_seconds(&self) -> Option<f64> {
        match self.passes {
            Passes::Reported => self.progress.and_then(|progress| progress.pass_seconds),
            Passes::FromBytesWritten => {
                let expected = self.expected_bytes? as f64;
                let written = self.counters.io?.bytes_written as f64;
                // Less than one pass says little about the time of one.
                (written >= expected).then(|| self.running_seconds * expected / written)
            }
        }
    }

    fn observe(&mut self, progress: Option<Progress>) -> Result<(), Halt> {
        self.launcher.cancel.check()?;
        let now = self.began.elapsed();
        if let Some(progress) = progress {
            self.progress = Some(progress);
            self.remaining.set(progress.remaining);
            self.convergence.tell(now, progress.remaining);
        } else if self.progress.is_none() {
            self.observe_files(now);
        }
        if now >= self.deadline {
            return Err(Halt::TimedOut);
        }
        self.convergence.stall(now).map_or(Ok(()), |reason| Err(Halt::Stalled(reason)))
    }

    /// Inspects how the files have grown, for processes that do not report their progress.
    fn observe_files(&mut self, now: Duration) {
        let all: u64 = self.growing.iter().map(|place| bytes(place)).sum();
        let grown = all.saturating_sub(self.bytes_before);
        if let Some(expected) = self.expected_bytes {
            self.remaining.set(1.0 - (grown as f64 / expected as f64).min(1.0));
        }
        self.convergence.grow(now, grown, self.expected_bytes);
        if self.convergence.asks_for_a_look() && now >= self.looked + LOOK_EVERY {
            self.looked = now;
            let look = self.look();
            self.convergence.look(now, look);
        }
    }

    fn look(&self) -> Look {
        let processes = self.launcher.roster().running(Account::Strategy);
        let placed: Vec<_> = self.growing.iter().flat_map(|place| files_in(place)).collect();
        let mut elsewhere = open_for_writing(&processes);
        let live = self.live.iter().flat_map(|live| files_in(live));
        let known: HashSet<_> = live.chain(placed.iter().copied()).map(|file| file.identity).collect();
        elsewhere.retain(|file| !known.contains(&file.identity));
        Look { placed, elsewhere, bytes_written: bytes_written(&processes) }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::convergence::Limit;
    use machine::process::Cancel;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_output_of_a_command_that_stalled_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let limit = |after| Limit { after, setting: "as the test has it".into() };
        let limits = Limits { no_gain: limit(HOUR), quiet: limit(Duration::from_secs(1)), database_bytes: 1 };
        let mut watch = Watch::new(&launcher, directory.path(), HOUR, Some(limits));
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "echo waiting for a lock; exec sleep 600"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = launcher.spawn(Account::Strategy, command).unwrap();
        assert!(matches!(watch.run(vec![child]), Err(Halt::Stalled(_))));
        assert_eq!(watch.output, "waiting for a lock");
    }

    #[test]
    fn the_deadline_stops_an_operation_that_still_makes_progress() {
        let launcher = Launcher::new(Path::new("nowhere"), &Cancel::default());
        let mut watch = Watch::new(&launcher, Path::new("nowhere"), Duration::ZERO, None);
        let progress = Progress { remaining: 0.5, ..Progress::default() };
        assert!(matches!(watch.observe(Some(progress)), Err(Halt::TimedOut)));
    }

    #[test]
    fn files_that_existed_before_do_not_count_as_progress() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(Path::new("nowhere"), &Cancel::default());
        let mut watch = Watch::new(&launcher, directory.path(), HOUR, None);
        std::fs::write(directory.path().join("earlier"), [0; 900]).unwrap();
        watch.watch_anew(vec![directory.path().to_owned()], Some(1000));
        std::fs::write(directory.path().join("later"), [0; 250]).unwrap();
        assert!(watch.observe(None).is_ok());
        assert_eq!(watch.furthest(), Some(0.25));
    }

    #[test]
    fn an_interruption_is_not_the_strategys_fault() {
        let cancel = Cancel::default();
        let launcher = Launcher::new(Path::new("nowhere"), &cancel);
        let mut watch = Watch::new(&launcher, Path::new("nowhere"), HOUR, None);
        cancel.cancel();
        assert!(matches!(watch.observe(None), Err(Halt::Error(Error::Interrupted))));
    }
}
