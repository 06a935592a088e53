//! Runs a strategy's processes and watches them: for the wish to stop, the deadline, and a stall.
//!
//! What a stall is, and what is none, is said in [`crate::convergence`].

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

/// How often the files are looked at of what does not say how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is left of a backup, from 1 to 0, for the sampler; unknown until something is known.
#[derive(Clone, Default)]
pub struct Remaining(Arc<AtomicU64>);

impl Remaining {
    /// What is left; `None` while unknown.
    pub fn get(&self) -> Option<f64> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            // One is added, because 0 stands for unknown.
            bits => Some(f64::from_bits(bits) - 1.0),
        }
    }

    fn set(&self, remaining: f64) {
        self.0.store((remaining + 1.0).to_bits(), Ordering::Relaxed);
    }
}

/// How long a pass takes, for strategies that begin again with every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// There are none, or the worker tells.
    Reported,
    /// From the rate at which the processes write. That leaves out what they overwrite in their own cache
    /// before it reaches the file (2 MB for SQLite), so it is a little long where restarts come that quickly.
    FromBytesWritten,
}

/// Runs the processes of one operation of a strategy.
pub struct Watch {
    /// Starts processes.
    pub launcher: Launcher,
    /// What is left, for whoever shows it.
    pub remaining: Remaining,
    /// How [`Watch::pass_seconds`] is known.
    pub passes: Passes,
    /// Bytes that the artifact will have, for tools that do not tell how far they are; `None` where nobody
    /// knows, and then any growth is progress.
    pub expected_bytes: Option<u64>,
    /// What worker processes told last.
    pub progress: Option<Progress>,
    /// What the ended processes used.
    pub counters: Counters,
    /// What ships is in that already: the strategy knows which part of its time counts.
    pub counts_shipper: bool,
    /// What they printed last.
    pub output: String,
    /// When the result was durable, by the common clock; `None` until it is.
    pub durable_ns: Option<u64>,
    /// When what is measured began, by the common clock, where it had to wait for its turn; `None`: with the call.
    pub began_ns: Option<u64>,
    /// The live data: that it grows says nothing of the backup.
    pub live: Option<PathBuf>,
    directory: PathBuf,
    /// What grows when the operation gets on, and its bytes before what is watched.
    growing: Vec<PathBuf>,
    bytes_before: u64,
    began: Instant,
    deadline: Duration,
    running_seconds: f64,
    convergence: Convergence,
    looked: Duration,
}

impl Watch {
    /// Watches an operation that builds its result in `directory`, from now on; it never stalls without `limits`.
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

    /// Runs children that belong together until all have ended well.
    ///
    /// # Errors
    /// As [`Unsuccessful`](machine::process::Unsuccessful) ones count, otherwise why they were ended.
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

    /// Runs a container of tools until it has ended well.
    ///
    /// # Errors
    /// [`Halt::Failed`] when it ends with an error, otherwise why it was ended.
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
    /// [`Halt::Failed`] with the condition's error, or why there is nothing to wait for any more.
    pub fn wait_until(&mut self, condition: &mut dyn FnMut() -> Result<bool, String>) -> Result<(), Halt> {
        while !condition().map_err(Halt::Failed)? {
            self.pause(TICK)?;
        }
        Ok(())
    }

    /// Lets a moment pass for what goes on elsewhere, and looks after it.
    ///
    /// # Errors
    /// Why it is to be ended.
    pub fn pause(&mut self, moment: Duration) -> Result<(), Halt> {
        self.observe(None)?;
        std::thread::sleep(moment);
        Ok(())
    }

    /// Another part of the operation begins: from now on it is progress when these places grow, towards
    /// `expected_bytes` more where somebody knows them.
    pub fn watch_anew(&mut self, places: Vec<PathBuf>, expected_bytes: Option<u64>) {
        self.bytes_before = places.iter().map(|place| bytes(place)).sum();
        self.growing = places;
        self.expected_bytes = expected_bytes;
        self.convergence.begin_anew(self.began.elapsed());
    }

    /// Enters what was used by something that this did not start, in the time for which it was watched.
    pub fn account(&mut self, used: Counters, running: Duration) {
        self.counters = used;
        self.counts_shipper = true;
        self.running_seconds = running.as_secs_f64();
    }

    /// Makes what was built durable, and notes when it was.
    ///
    /// # Errors
    /// [`Halt::Failed`] when the disk has no room for it, otherwise when it refuses.
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

    /// Adds to what was printed.
    pub fn note_output(&mut self, more: &str) {
        if !self.output.is_empty() && !more.is_empty() {
            self.output.push('\n');
        }
        self.output.push_str(more);
    }

    /// The furthest that it got, from 0 to 1; `None` where nobody knows.
    pub fn furthest(&self) -> Option<f64> {
        (self.progress.is_some() || self.expected_bytes.is_some()).then_some(1.0 - self.convergence.low())
    }

    /// The time of one undisturbed pass, where there are passes.
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

    /// Looks how the files have grown of what does not say how far it is.
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
    fn what_a_command_had_said_before_it_stalled_is_kept() {
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
    fn the_deadline_ends_what_still_progresses() {
        let launcher = Launcher::new(Path::new("nowhere"), &Cancel::default());
        let mut watch = Watch::new(&launcher, Path::new("nowhere"), Duration::ZERO, None);
        let progress = Progress { remaining: 0.5, ..Progress::default() };
        assert!(matches!(watch.observe(Some(progress)), Err(Halt::TimedOut)));
    }

    #[test]
    fn what_was_there_before_is_no_progress() {
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
