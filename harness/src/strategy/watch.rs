//! Runs a strategy's processes and watches them: for the wish to stop, the deadline, and a stall.
//!
//! A backup stalls when what remains has not reached a new low for a time that is set against the measured
//! time of one copy. A restart alone never counts: a backup that begins again and still gets further each
//! time is slow, not stalled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::container::{Container, Spec};
use crate::error::Error;
use crate::measure::clock::now_ns;
use crate::measure::storage::{bytes, sync_tree};
use crate::process::{Account, Child, Counters, Ended, Group, Launcher, TICK};
use crate::worker::Progress;

/// Why a strategy ended without success.
#[derive(Debug)]
pub enum Halt {
    /// What remains has not reached a new low for this long.
    Stalled(Duration),
    /// The deadline passed.
    TimedOut,
    /// The strategy reported an error.
    Failed(String),
    /// The subject lacks what the strategy needs: what, and how to get it.
    Unavailable(String),
    /// It was not the strategy that failed.
    Error(Error),
}

impl From<Error> for Halt {
    /// What the machine or the application refuses to a strategy is that trial's result; the run goes on.
    fn from(error: Error) -> Halt {
        match error {
            Error::Input(message) | Error::Environment(message) => Halt::Failed(message),
            Error::Interrupted | Error::Bug(_) => Halt::Error(error),
        }
    }
}

/// A smaller gain than this share of the whole is no new low.
const GAIN_MIN: f64 = 0.001;

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
    /// What they printed last.
    pub output: String,
    /// When the result was durable, by the common clock; `None` until it is.
    pub durable_ns: Option<u64>,
    /// When what is measured began, by the common clock, where it had to wait for its turn; `None`: with the call.
    pub began_ns: Option<u64>,
    directory: PathBuf,
    /// What grows when the operation gets on, and its bytes before what is watched.
    growing: Vec<PathBuf>,
    bytes_before: u64,
    rests: Duration,
    deadline: Instant,
    stall_after: Option<Duration>,
    running_seconds: f64,
    low: f64,
    low_since: Instant,
}

impl Watch {
    /// Watches an operation that builds its result in `directory`, from now on; it never stalls when
    /// `stall_after` is `None`.
    pub fn new(
        launcher: &Launcher,
        directory: &Path,
        deadline: Duration,
        stall_after: Option<Duration>,
    ) -> Watch {
        let now = Instant::now();
        Watch {
            launcher: launcher.clone(),
            remaining: Remaining::default(),
            passes: Passes::Reported,
            expected_bytes: None,
            progress: None,
            counters: Counters::default(),
            output: String::new(),
            durable_ns: None,
            began_ns: None,
            directory: directory.to_owned(),
            growing: vec![directory.to_owned()],
            bytes_before: 0,
            rests: Duration::ZERO,
            deadline: now + deadline,
            stall_after,
            running_seconds: 0.0,
            low: 1.0,
            low_since: now,
        }
    }

    /// Runs children that belong together until all have ended well.
    ///
    /// # Errors
    /// [`Halt::Failed`] when one ends with an error, otherwise why they were ended.
    pub fn run(&mut self, children: Vec<Child>) -> Result<serde_json::Value, Halt> {
        let mut group = Group::new(children);
        let started = Instant::now();
        let outcome = group.wait(|progress| self.observe(progress));
        self.running_seconds += started.elapsed().as_secs_f64();
        self.counters.add(&group.counters());
        self.output = group.output();
        let ended: Ended = outcome?;
        ended.result().map_err(Halt::Failed)
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
            self.counters.add(&container.counters().unwrap_or_default());
            self.output = container.last_lines();
        }
        let exit = outcome?;
        self.counters.add(&exit.counters.unwrap_or_default());
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
    /// `expected_bytes` more where somebody knows them. By design they may stay as they are for as long as `rests`.
    pub fn watch_anew(&mut self, places: Vec<PathBuf>, expected_bytes: Option<u64>, rests: Duration) {
        self.bytes_before = places.iter().map(|place| bytes(place)).sum();
        self.growing = places;
        self.rests = rests;
        self.expected_bytes = expected_bytes;
        self.low = 1.0;
        self.low_since = Instant::now();
    }

    /// Enters what was used by something that this did not start, in the time for which it was watched.
    pub fn account(&mut self, used: Counters, running: Duration) {
        self.counters = used;
        self.running_seconds = running.as_secs_f64();
    }

    /// Makes what was built durable, and notes when it was.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn make_durable(&mut self) -> Result<(), Halt> {
        sync_tree(&self.directory).map_err(|error| {
            Error::Environment(format!("cannot make {} durable: {error}", self.directory.display()))
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
        (self.progress.is_some() || self.expected_bytes.is_some()).then_some(1.0 - self.low)
    }

    /// The time of one undisturbed pass, where there are passes.
    pub fn pass_seconds(&self) -> Option<f64> {
        match self.passes {
            Passes::Reported => self.progress.and_then(|progress| progress.pass_seconds),
            Passes::FromBytesWritten => {
                let expected = self.expected_bytes? as f64;
                let written = self.counters.bytes_written as f64;
                // Less than one pass says little about the time of one.
                (written >= expected).then(|| self.running_seconds * expected / written)
            }
        }
    }

    fn observe(&mut self, progress: Option<Progress>) -> Result<(), Halt> {
        self.launcher.cancel.check()?;
        if let Some(progress) = progress {
            self.progress = Some(progress);
            self.note_remaining(progress.remaining);
        } else if self.progress.is_none() {
            let grown: u64 = self.growing.iter().map(|place| bytes(place)).sum();
            self.note_growth(grown.saturating_sub(self.bytes_before));
        }
        let now = Instant::now();
        if now >= self.deadline {
            return Err(Halt::TimedOut);
        }
        let quiet = now.duration_since(self.low_since);
        match self.stall_after {
            Some(stall_after) if quiet >= stall_after + self.rests => Err(Halt::Stalled(quiet)),
            _ => Ok(()),
        }
    }

    fn note_growth(&mut self, bytes: u64) {
        match self.expected_bytes {
            Some(expected) => self.note_remaining(1.0 - (bytes as f64 / expected as f64).min(1.0)),
            // Without a known end the fraction only has to fall with every growth.
            None => {
                let low = 1.0 / (1.0 + bytes as f64);
                if low < self.low {
                    self.low = low;
                    self.low_since = Instant::now();
                }
            }
        }
    }

    fn note_remaining(&mut self, remaining: f64) {
        self.remaining.set(remaining);
        if remaining <= self.low - GAIN_MIN || (remaining == 0.0 && self.low > 0.0) {
            self.low = remaining;
            self.low_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::process::Cancel;

    fn watch(stall_after: Duration) -> Watch {
        let launcher = Launcher::new(Path::new("nowhere"), &Cancel::default());
        Watch::new(&launcher, Path::new("nowhere"), Duration::from_secs(3600), Some(stall_after))
    }

    fn at(remaining: f64, restarts: u64) -> Option<Progress> {
        Some(Progress { remaining, restarts, ..Progress::default() })
    }

    #[test]
    fn restarts_that_get_further_each_time_are_no_stall() {
        let mut watch = watch(Duration::from_millis(200));
        for restart in 0..8 {
            assert!(watch.observe(at(1.0, restart)).is_ok());
            std::thread::sleep(Duration::from_millis(50));
            assert!(watch.observe(at(0.9 - restart as f64 / 10.0, restart)).is_ok());
        }
    }

    #[test]
    fn what_never_reaches_a_new_low_stalls_without_a_single_restart() {
        let mut watch = watch(Duration::from_millis(100));
        assert!(watch.observe(at(0.5, 0)).is_ok());
        std::thread::sleep(Duration::from_millis(120));
        assert!(matches!(watch.observe(at(0.5, 0)), Err(Halt::Stalled(_))));
        assert_eq!(watch.furthest(), Some(0.5));
    }

    #[test]
    fn a_part_that_began_later_has_its_own_lows() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        std::fs::write(&first, [1; 100]).unwrap();
        let mut watch = watch(Duration::from_millis(100));
        watch.watch_anew(vec![first.clone()], None, Duration::from_secs(60));
        assert!(watch.observe(None).is_ok());
        std::thread::sleep(Duration::from_millis(120));
        assert!(watch.observe(None).is_ok(), "it may rest");
        watch.watch_anew(vec![second.clone()], None, Duration::ZERO);
        // Less than what the first part had made, and a beginning all the same.
        std::fs::write(&second, [1; 10]).unwrap();
        std::thread::sleep(Duration::from_millis(120));
        assert!(watch.observe(None).is_ok());
        std::thread::sleep(Duration::from_millis(120));
        assert!(matches!(watch.observe(None), Err(Halt::Stalled(_))));
    }

    #[test]
    fn what_a_command_had_said_before_it_stalled_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
        let mut watch = Watch::new(&launcher, directory.path(), hour, Some(second));
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
        assert!(matches!(watch.observe(at(0.5, 0)), Err(Halt::TimedOut)));
    }

    #[test]
    fn what_was_there_before_is_no_progress() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(Path::new("nowhere"), &Cancel::default());
        let hour = Duration::from_secs(3600);
        let mut watch = Watch::new(&launcher, directory.path(), hour, Some(Duration::from_millis(100)));
        std::fs::write(directory.path().join("earlier"), [0; 900]).unwrap();
        watch.watch_anew(vec![directory.path().to_owned()], Some(1000), Duration::ZERO);
        std::fs::write(directory.path().join("later"), [0; 250]).unwrap();
        assert!(watch.observe(None).is_ok());
        assert_eq!(watch.furthest(), Some(0.25));
        std::thread::sleep(Duration::from_millis(120));
        assert!(matches!(watch.observe(None), Err(Halt::Stalled(_))));
        watch.watch_anew(vec![directory.path().to_owned()], None, Duration::ZERO);
        assert!(watch.observe(None).is_ok());
    }

    #[test]
    fn an_interruption_is_not_the_strategys_fault() {
        let cancel = Cancel::default();
        let launcher = Launcher::new(Path::new("nowhere"), &cancel);
        let mut watch = Watch::new(&launcher, Path::new("nowhere"), Duration::from_secs(9), None);
        cancel.cancel();
        assert!(matches!(watch.observe(None), Err(Halt::Error(Error::Interrupted))));
    }
}
