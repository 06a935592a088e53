//! A sample a second while a trial runs, and the state for whoever shows it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reports::record::{PhaseStart, Sample};

use super::clock::{now_ns, seconds_between};
use super::storage::bytes;
use crate::event::{Event, Observer, Status};
use crate::process::{Account, Counters, Launcher, StopOnDrop};
use crate::strategy::watch::Remaining;
use crate::workload::ledger::{Ledger, Outcome};

const TICK: Duration = Duration::from_millis(100);
const TICKS_A_SAMPLE: u32 = 10;

/// What a trial shows of itself while it runs.
pub struct Board {
    started_ns: u64,
    state: Mutex<State>,
}

struct State {
    phases: Vec<(&'static str, u64)>,
    remaining: Option<Remaining>,
    samples: Vec<Sample>,
    journal_bytes_max: Option<u64>,
}

impl Board {
    /// An empty board; the trial starts now.
    pub fn start() -> Board {
        let state =
            State { phases: Vec::new(), remaining: None, samples: Vec::new(), journal_bytes_max: None };
        Board { started_ns: now_ns(), state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the board")
    }

    /// A phase begins. Returns the time.
    pub fn enter(&self, phase: &'static str) -> u64 {
        let now = now_ns();
        self.state().phases.push((phase, now));
        now
    }

    /// The backup that runs now tells what remains through this; `None` after it.
    pub fn follow(&self, remaining: Option<Remaining>) {
        self.state().remaining = remaining;
    }

    /// A moment, in seconds after the trial started.
    pub fn at_seconds(&self, at_ns: u64) -> f64 {
        seconds_between(self.started_ns, at_ns)
    }

    /// When each phase began.
    pub fn phases(&self) -> Vec<PhaseStart> {
        let start = |(phase, at): &(&'static str, u64)| PhaseStart {
            phase: (*phase).to_owned(),
            at_seconds: self.at_seconds(*at),
        };
        self.state().phases.iter().map(start).collect()
    }

    /// All samples so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.state().samples.clone()
    }

    /// The largest journal seen beside the live database; `None` when there never was one.
    pub fn journal_bytes_max(&self) -> Option<u64> {
        self.state().journal_bytes_max
    }
}

/// What is sampled.
pub struct Sampled {
    /// Whose processes.
    pub launcher: Launcher,
    /// The live database.
    pub database: PathBuf,
    /// Where the ledger is.
    pub ledger_directory: PathBuf,
    /// Number of writers.
    pub writers: u32,
    /// Where the artifact grows.
    pub destination: PathBuf,
}

/// Samples until `stop` is set. Runs in a thread of its own.
pub fn sample(sampled: &Sampled, board: &Board, stop: &AtomicBool, observer: Observer<'_>) {
    let mut acknowledged = Acknowledged::new(sampled.writers);
    let mut before = (now_ns(), 0);
    let mut ticks = 0;
    while !stop.load(Ordering::Relaxed) {
        let journal_bytes = journal_bytes(sampled);
        {
            let mut state = board.state();
            state.journal_bytes_max = state.journal_bytes_max.max(journal_bytes);
        }
        if ticks % TICKS_A_SAMPLE == 0 {
            let now = (now_ns(), acknowledged.count(sampled));
            let rate = (now.1 - before.1) as f64 / seconds_between(before.0, now.0).max(1e-9);
            before = now;
            take(sampled, board, now, journal_bytes, rate, observer);
        }
        ticks += 1;
        std::thread::sleep(TICK);
    }
}

fn take(
    sampled: &Sampled,
    board: &Board,
    (now_ns, acknowledged_writes): (u64, u64),
    journal_bytes: Option<u64>,
    writes_per_second: f64,
    observer: Observer<'_>,
) {
    let subject = running(&sampled.launcher, Account::Subject);
    let strategy = running(&sampled.launcher, Account::Strategy);
    let mut state = board.state();
    let phase = state.phases.last().map_or("provision", |(phase, _)| phase);
    let backup_remaining = state.remaining.as_ref().and_then(Remaining::get);
    let seconds = board.at_seconds(now_ns);
    state.samples.push(Sample {
        at_seconds: seconds,
        phase: phase.to_owned(),
        acknowledged_writes,
        latency_p50_ms: None,
        latency_p99_ms: None,
        latency_max_ms: None,
        journal_bytes,
        artifact_bytes: None,
        backup_remaining,
        subject_cpu_seconds: subject.map(|used| used.cpu_seconds),
        strategy_cpu_seconds: strategy.map(|used| used.cpu_seconds),
        strategy_memory_bytes: strategy.map(|used| used.memory_bytes_max),
        harness_cpu_seconds: None,
        subject_disk_bytes_read: subject.map(|used| used.disk_bytes_read),
        subject_disk_bytes_written: subject.map(|used| used.disk_bytes_written),
        strategy_disk_bytes_read: strategy.map(|used| used.disk_bytes_read),
        strategy_disk_bytes_written: strategy.map(|used| used.disk_bytes_written),
        harness_disk_bytes_read: None,
        harness_disk_bytes_written: None,
    });
    let in_backup = state.remaining.is_some();
    drop(state);
    observer(Event::Status(Status {
        phase,
        seconds,
        writes_per_second: subject.map(|_| writes_per_second),
        artifact_bytes: in_backup.then(|| bytes(&sampled.destination)),
        backup_remaining,
    }));
}

fn running(launcher: &Launcher, account: Account) -> Option<Counters> {
    let pids = launcher.roster().running(account);
    let mut sum = None;
    for counters in pids.into_iter().filter_map(Counters::of) {
        sum.get_or_insert_with(Counters::default).add(&counters);
    }
    sum
}

/// The WAL or rollback journal beside the live database.
fn journal_bytes(sampled: &Sampled) -> Option<u64> {
    ["-wal", "-journal"].iter().find_map(|suffix| {
        let path = format!("{}{suffix}", sampled.database.display());
        std::fs::metadata(path).ok().map(|file| file.len())
    })
}

/// Counts acknowledged writes without reading the ledger from its beginning each time.
struct Acknowledged {
    seen: Vec<(u64, u64)>,
}

impl Acknowledged {
    fn new(writers: u32) -> Acknowledged {
        Acknowledged { seen: vec![(0, 0); writers as usize] }
    }

    /// A ledger that cannot be read now counts as it was read last.
    fn count(&mut self, sampled: &Sampled) -> u64 {
        if let Ok(ledger) = Ledger::open(&sampled.ledger_directory, sampled.writers) {
            self.catch_up(&ledger);
        }
        self.seen.iter().map(|(_, count)| count).sum()
    }

    fn catch_up(&mut self, ledger: &Ledger) {
        for (writer, (next, count)) in self.seen.iter_mut().enumerate() {
            let entries = ledger.writer(writer as u32);
            while *next < entries.len() {
                match entries.entry(*next).outcome {
                    Outcome::Acknowledged(_) => *count += 1,
                    // The newest write may yet be answered.
                    Outcome::Indeterminate if *next + 1 == entries.len() => break,
                    Outcome::Refused(_) | Outcome::Indeterminate => {}
                }
                *next += 1;
            }
        }
    }
}

/// Runs the sampler beside `work`, and stops it whatever becomes of that.
pub fn beside<T>(sampled: &Sampled, board: &Board, observer: Observer<'_>, work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| sample(sampled, board, &stop, observer));
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cancel;
    use crate::workload::ledger::LedgerWriter;

    #[test]
    fn a_ledger_that_cannot_be_read_for_a_while_takes_nothing_back() {
        let directory = tempfile::tempdir().unwrap();
        let ledger_directory = directory.path().join("ledger");
        std::fs::create_dir(&ledger_directory).unwrap();
        let mut writer = LedgerWriter::open(&ledger_directory, 0).unwrap();
        writer.send(1, 1).unwrap();
        writer.acknowledge(2);
        let sampled = |ledger_directory: &std::path::Path| Sampled {
            launcher: Launcher::new(directory.path(), &Cancel::default()),
            database: directory.path().join("database"),
            ledger_directory: ledger_directory.to_owned(),
            writers: 1,
            destination: directory.path().to_owned(),
        };
        let mut acknowledged = Acknowledged::new(1);
        assert_eq!(acknowledged.count(&sampled(&ledger_directory)), 1);
        // A file is no directory.
        assert_eq!(acknowledged.count(&sampled(&ledger_directory.join("writer-0000.ledger"))), 1);
    }
}
