//! Takes one sample per second while a trial runs, and publishes the state for display.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use machine::event::{Event, Observer, Status};
use machine::measure::clock::{now_ns, seconds_between};
use machine::measure::device::{Device, Requests, unwritten_bytes};
use machine::measure::latencies::Latencies;
use machine::measure::storage::bytes;
use machine::process::{Account, Counters, Launcher, StopOnDrop, anonymous_bytes, anonymous_bytes_of_tree};
use model::ledger::{Ledger, Outcome};
use reports::record::{PhaseStart, Sample};
use strategies::watch::Remaining;

const TICK: Duration = Duration::from_millis(100);
const TICKS_A_SAMPLE: u32 = 10;

/// The timeline of a trial while it runs: phases, samples and progress.
pub struct Timeline {
    started_ns: u64,
    state: Mutex<State>,
}

struct State {
    phases: Vec<(&'static str, u64)>,
    remaining: Option<Remaining>,
    samples: Vec<Sample>,
    journal_bytes_max: Option<u64>,
}

impl Timeline {
    /// An empty timeline; the trial starts now.
    pub fn start() -> Timeline {
        let state =
            State { phases: Vec::new(), remaining: None, samples: Vec::new(), journal_bytes_max: None };
        Timeline { started_ns: now_ns(), state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this lock")
    }

    /// A phase begins. Returns the time.
    pub fn enter(&self, phase: &'static str) -> u64 {
        let now = now_ns();
        self.state().phases.push((phase, now));
        now
    }

    /// Sets the source of the remaining work of the current backup; `None` after it.
    pub fn follow(&self, remaining: Option<Remaining>) {
        self.state().remaining = remaining;
    }

    /// The phase, and whether a backup is being followed.
    fn now(&self) -> (&'static str, bool) {
        let state = self.state();
        (state.phases.last().map_or("provision", |(phase, _)| phase), state.remaining.is_some())
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

    /// The largest observed size of the live database's journal; `None` if there never was one.
    pub fn journal_bytes_max(&self) -> Option<u64> {
        self.state().journal_bytes_max
    }
}

/// What is sampled.
pub struct Sampled {
    /// The launcher of the processes.
    pub launcher: Launcher,
    /// The live database.
    pub database: PathBuf,
    /// Where the ledger is.
    pub ledger_directory: PathBuf,
    /// Number of writers.
    pub writers: u32,
    /// Directory of the artifact.
    pub destination: PathBuf,
}

/// Samples until `stop` is set. Runs in a separate thread.
pub fn sample(sampled: &Sampled, timeline: &Timeline, stop: &AtomicBool, observer: Observer<'_>) {
    let mut sampler = Sampler {
        sampled,
        timeline,
        observer,
        answered: Answered::new(sampled.writers),
        artifact: ArtifactSize::default(),
        disk: DiskRequests::default(),
        before: (now_ns(), 0),
    };
    let mut ticks = 0;
    while !stop.load(Ordering::Relaxed) {
        let journal_bytes = journal_bytes(sampled);
        {
            let mut state = timeline.state();
            state.journal_bytes_max = state.journal_bytes_max.max(journal_bytes);
        }
        note_memory_of_containers(&sampled.launcher);
        if ticks % TICKS_A_SAMPLE == 0 {
            sampler.take(journal_bytes);
        }
        ticks += 1;
        std::thread::sleep(TICK);
    }
}

/// The kernel does not record the peak memory of containers without mapped files, so it is sampled.
fn note_memory_of_containers(launcher: &Launcher) {
    let containers = launcher.processes().containers();
    for (account, pid) in containers {
        if let Some(bytes) = anonymous_bytes_of_tree(pid) {
            launcher.processes().note_memory(account, bytes);
        }
    }
}

struct Sampler<'a> {
    sampled: &'a Sampled,
    timeline: &'a Timeline,
    observer: Observer<'a>,
    answered: Answered,
    artifact: ArtifactSize,
    disk: DiskRequests,
    /// When the last sample was taken, and the writes that had been acknowledged by then.
    before: (u64, u64),
}

impl Sampler<'_> {
    fn take(&mut self, journal_bytes: Option<u64>) {
        let Sampler { sampled, timeline, .. } = *self;
        let (at_ns, acknowledged_writes) = (now_ns(), self.answered.count(sampled));
        let (before_ns, before_writes) = std::mem::replace(&mut self.before, (at_ns, acknowledged_writes));
        let writes_per_second =
            (acknowledged_writes - before_writes) as f64 / seconds_between(before_ns, at_ns).max(1e-9);
        let (phase, in_backup) = timeline.now();
        let artifact_bytes = self.artifact.look(phase, &sampled.destination);
        let (disk_write_ms, disk_flush_ms) = self.disk.look(&sampled.database);
        let usage = |account| used_by_running(&sampled.launcher, account);
        let (subject, strategy) = (usage(Account::Subject), usage(Account::Strategy));
        let harness = harness_alone(&sampled.launcher);
        let disk = |used: &Option<Counters>| used.and_then(|used| used.io);
        let (subject_io, strategy_io, harness_io) = (disk(&subject), disk(&strategy), disk(&harness));
        let mut state = timeline.state();
        let backup_remaining = state.remaining.as_ref().and_then(Remaining::get);
        let seconds = timeline.at_seconds(at_ns);
        let latencies = &mut self.answered.latencies;
        state.samples.push(Sample {
            at_seconds: seconds,
            phase: phase.to_owned(),
            acknowledged_writes,
            latency_p50_ms: latencies.quantile_ms(0.5),
            latency_p99_ms: latencies.quantile_ms(0.99),
            latency_max_ms: latencies.quantile_ms(1.0),
            journal_bytes,
            artifact_bytes,
            backup_remaining,
            subject_cpu_seconds: subject.map(|used| used.cpu_seconds),
            strategy_cpu_seconds: strategy.map(|used| used.cpu_seconds),
            strategy_memory_bytes: strategy.and_then(|used| used.memory_bytes_max),
            harness_cpu_seconds: harness.map(|used| used.cpu_seconds),
            subject_disk_bytes_read: subject_io.map(|io| io.disk_bytes_read),
            subject_disk_bytes_written: subject_io.map(|io| io.disk_bytes_written),
            strategy_disk_bytes_read: strategy_io.map(|io| io.disk_bytes_read),
            strategy_disk_bytes_written: strategy_io.map(|io| io.disk_bytes_written),
            harness_disk_bytes_read: harness_io.map(|io| io.disk_bytes_read),
            harness_disk_bytes_written: harness_io.map(|io| io.disk_bytes_written),
            unwritten_bytes: unwritten_bytes(),
            disk_write_ms,
            disk_flush_ms,
        });
        drop(state);
        latencies.clear();
        (self.observer)(Event::Status(Status {
            phase,
            seconds,
            writes_per_second: subject.map(|_| writes_per_second),
            artifact_bytes: artifact_bytes.filter(|_| in_backup),
            backup_remaining,
        }));
    }
}

/// Resources that the running processes of an account have used so far. Memory is the current memory of the largest
/// one.
fn used_by_running(launcher: &Launcher, account: Account) -> Option<Counters> {
    let pids = launcher.processes().running(account);
    let mut sum = None;
    for pid in pids {
        if let Some(counters) = Counters::of(pid) {
            let memory_bytes_max = anonymous_bytes(pid);
            sum.get_or_insert_with(Counters::default).add(&Counters { memory_bytes_max, ..counters });
        }
    }
    sum
}

/// Resources that this process alone has used so far, without the input and output of reaped children, which the kernel
/// adds.
fn harness_alone(launcher: &Launcher) -> Option<Counters> {
    let own = Counters::of(std::process::id() as i32)?;
    let processes = launcher.processes();
    let accounts = [Account::Subject, Account::Strategy, Account::Harness, Account::Preparation];
    let io = accounts.iter().fold(own, |rest, account| rest.since(&processes.used_by_children(*account))).io;
    Some(Counters { io, ..own })
}

/// Measuring the artifact may take at most one part in this many of the time.
const LOOKING_PART: u64 = 50;

/// The size of the artifact, which may be a tree of many files: the longer it takes to measure, the less often it is
/// measured.
#[derive(Default)]
struct ArtifactSize {
    bytes: Option<u64>,
    next_ns: u64,
}

impl ArtifactSize {
    /// Its current size, or the last measured one; `None` before the backup.
    fn look(&mut self, phase: &str, artifact: &Path) -> Option<u64> {
        let grows = matches!(phase, "arm" | "backup" | "tail" | "disaster");
        let began_ns = now_ns();
        if grows && began_ns >= self.next_ns {
            self.bytes = Some(bytes(artifact));
            let ended_ns = now_ns();
            self.next_ns = ended_ns + (ended_ns - began_ns) * LOOKING_PART;
        }
        self.bytes
    }
}

/// The requests of the device on which a file is, or will be.
#[derive(Default)]
struct DiskRequests {
    before: Option<(Device, Requests)>,
}

impl DiskRequests {
    /// Mean durations, in milliseconds, of the writes and the flushes since the last call. The first call on a device
    /// has none.
    fn look(&mut self, file: &Path) -> (Option<f64>, Option<f64>) {
        let place = file.ancestors().find(|place| place.exists());
        let device = place.and_then(Device::of);
        let now = device.and_then(|device| device.requests().map(|requests| (device, requests)));
        let before = std::mem::replace(&mut self.before, now);
        match (&before, &self.before) {
            (Some((same, before)), Some((device, now))) if same == device => {
                (now.mean_write_ms(before), now.mean_flush_ms(before))
            }
            _ => (None, None),
        }
    }
}

/// The size of the live database's WAL or rollback journal.
fn journal_bytes(sampled: &Sampled) -> Option<u64> {
    ["-wal", "-journal"].iter().find_map(|suffix| {
        let path = format!("{}{suffix}", sampled.database.display());
        std::fs::metadata(path).ok().map(|file| file.len())
    })
}

/// Counts acknowledged writes and records their latencies, without reading the ledger from its beginning each time.
struct Answered {
    /// The next entry to read, and the number of acknowledged ones before it, for each writer.
    seen: Vec<(u64, u64)>,
    /// Latencies of the writes that were read since they were last cleared.
    latencies: Latencies,
}

impl Answered {
    fn new(writers: u32) -> Answered {
        Answered { seen: vec![(0, 0); writers as usize], latencies: Latencies::default() }
    }

    /// If the ledger cannot be read, the last count is returned.
    fn count(&mut self, sampled: &Sampled) -> u64 {
        if let Ok(ledger) = Ledger::open(&sampled.ledger_directory, sampled.writers) {
            self.catch_up(&ledger);
        }
        self.seen.iter().map(|(_, count)| count).sum()
    }

    fn catch_up(&mut self, ledger: &Ledger) {
        for (writer, (next, count)) in self.seen.iter_mut().enumerate() {
            let entries = ledger.writer(writer as u32);
            while *next < entries.count() {
                let entry = entries.entry(*next);
                match entry.outcome {
                    Outcome::Acknowledged(at_ns) => {
                        *count += 1;
                        self.latencies.record(at_ns.saturating_sub(entry.due_ns));
                    }
                    // The newest write may still be answered.
                    Outcome::Indeterminate if *next + 1 == entries.count() => break,
                    Outcome::Refused(_) | Outcome::Indeterminate => {}
                }
                *next += 1;
            }
        }
    }
}

/// Runs the sampler while `work` runs, and stops it even if `work` fails or panics.
pub fn beside<T>(
    sampled: &Sampled,
    timeline: &Timeline,
    observer: Observer<'_>,
    work: impl FnOnce() -> T,
) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| sample(sampled, timeline, &stop, observer));
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::process::Cancel;
    use model::ledger::LedgerWriter;

    fn sampled(directory: &Path, ledger_directory: &Path) -> Sampled {
        Sampled {
            launcher: Launcher::new(directory, &Cancel::default()),
            database: directory.join("database"),
            ledger_directory: ledger_directory.to_owned(),
            writers: 1,
            destination: directory.to_owned(),
        }
    }

    #[test]
    fn a_ledger_that_cannot_be_read_for_a_while_takes_nothing_back() {
        let directory = tempfile::tempdir().unwrap();
        let ledger_directory = directory.path().join("ledger");
        std::fs::create_dir(&ledger_directory).unwrap();
        let mut writer = LedgerWriter::open(&ledger_directory, 0).unwrap();
        writer.send(1, 1).unwrap();
        writer.acknowledge(2);
        let sampled = |ledger_directory: &Path| sampled(directory.path(), ledger_directory);
        let mut answered = Answered::new(1);
        assert_eq!(answered.count(&sampled(&ledger_directory)), 1);
        // A file is not a directory.
        assert_eq!(answered.count(&sampled(&ledger_directory.join("writer-0000.ledger"))), 1);
    }

    #[test]
    fn a_sample_has_the_latencies_of_writes_acknowledged_since_the_last_one() {
        const MS: u64 = 1_000_000;
        let directory = tempfile::tempdir().unwrap();
        let mut writer = LedgerWriter::open(directory.path(), 0).unwrap();
        let sampled = sampled(directory.path(), directory.path());
        let timeline = Timeline::start();
        let ignore = |_: Event| {};
        let mut sampler = Sampler {
            sampled: &sampled,
            timeline: &timeline,
            observer: &ignore,
            answered: Answered::new(1),
            artifact: ArtifactSize::default(),
            disk: DiskRequests::default(),
            before: (now_ns(), 0),
        };
        let write = |writer: &mut LedgerWriter, due_ms: u64, ms: u64| {
            writer.send(due_ms * MS, due_ms * MS).unwrap();
            writer.acknowledge((due_ms + ms) * MS);
        };
        [(100, 5), (200, 7), (300, 300)].iter().for_each(|(due, ms)| write(&mut writer, *due, *ms));
        writer.send(400 * MS, 400 * MS).unwrap();
        sampler.take(None);
        sampler.take(None);
        writer.acknowledge(1000 * MS);
        timeline.enter("backup");
        std::fs::write(directory.path().join("copy"), [0; 1000]).unwrap();
        sampler.take(None);
        let samples = timeline.samples();
        let latencies: Vec<_> = samples
            .iter()
            .map(|sample| [sample.latency_p50_ms, sample.latency_max_ms].map(|ms| ms.map(f64::round)))
            .collect();
        assert_eq!(latencies, [[Some(7.0), Some(300.0)], [None, None], [Some(600.0), Some(600.0)]]);
        let counts: Vec<u64> = samples.iter().map(|sample| sample.acknowledged_writes).collect();
        assert_eq!(counts, [3, 3, 4]);
        assert_eq!(samples[1].artifact_bytes, None);
        assert!(samples[2].artifact_bytes > Some(1000), "{:?}", samples[2]);
        assert!(samples[2].harness_cpu_seconds.is_some() && samples[2].strategy_memory_bytes.is_none());
        assert!(samples[0].unwritten_bytes.is_some() && samples[0].disk_flush_ms.is_none());
    }

    #[test]
    fn a_tree_that_takes_long_to_measure_is_measured_rarely() {
        let directory = tempfile::tempdir().unwrap();
        let mut artifact = ArtifactSize::default();
        assert_eq!(artifact.look("reference", directory.path()), None);
        assert_eq!(artifact.look("backup", directory.path()), Some(0));
        std::fs::write(directory.path().join("copy"), [0; 10]).unwrap();
        artifact.next_ns = u64::MAX;
        assert_eq!(artifact.look("backup", directory.path()), Some(0));
        artifact.next_ns = 0;
        assert_eq!(artifact.look("tail", directory.path()), Some(10));
        std::fs::write(directory.path().join("more"), [0; 10]).unwrap();
        assert_eq!(artifact.look("verify", directory.path()), Some(10), "it does not grow any more");
    }
}
