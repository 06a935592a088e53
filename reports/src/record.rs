//! The schema of `results.json`, version `drill/2`.
//!
//! Sizes are bytes and times are seconds, unless a name says otherwise. What was not measured is `null`,
//! never 0. The JSON Schema in `reports/schema/drill-2.json` is generated from these types; a change of
//! meaning raises [`SCHEMA`]. Files of `drill/1` are read, too: see [`crate::load`].

mod restored;
mod used;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use restored::{Check, LiveRestore, RecoveryPoint, Restore, Verification};
pub use used::{Resources, Sample, Usage};

/// The version of the schema that this crate writes.
pub const SCHEMA: &str = "drill/2";

/// One execution of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// Always `drill/2` in files that this version writes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// What all trials have in common.
    pub run: Run,
    /// One record a trial, in the order in which they ran.
    pub trials: Vec<Trial>,
}

/// What all trials of a run have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Scenario name and start time: unique in a results directory.
    pub id: String,
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario says it is for.
    pub description: String,
    /// The command line that repeats this run.
    pub command: String,
    /// Trials that the plan holds; fewer records mean that the run was cut short.
    pub planned_trials: u32,
    /// When the run started (RFC 3339, UTC).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// The seed from which datasets, workloads and arrivals follow.
    pub seed: u64,
    /// Version of the harness, with the commit of the checkout that it ran from where git knows it.
    pub harness_version: String,
    /// The machine.
    pub host: Host,
    /// What this machine can do at best, measured in this run: one entry a dataset.
    pub calibration: Vec<Calibration>,
    /// What all trials depend on besides the machine and what each record names: the scenario's values by their place in
    /// it, and the build of the harness. A run is only gone on with under the same; empty in older results.
    #[serde(default)]
    pub conditions: BTreeMap<String, serde_json::Value>,
    /// Which part of the plan this is; null for a whole run, also one that shards were merged to.
    #[serde(default)]
    pub shard: Option<Shard>,
    /// The machines of a run that was merged from shards of different ones, whose bare seconds cannot be compared; empty
    /// when all trials were made on `host`.
    #[serde(default)]
    pub machines: Vec<Machine>,
}

/// A part of a plan that is run on its own, at the same time as the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Counts from 1.
    pub number: u32,
    /// How many shards the plan was divided into.
    pub of: u32,
    /// The ids of all trials of the plan, in its order.
    pub plan: Vec<String>,
}

/// One of several machines, and what was made on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The machine.
    pub host: Host,
    /// The ids of its trials.
    pub trials: Vec<String>,
}

/// The machine that a run was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Operating system, as `/etc/os-release` names it.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor model, as `/proc/cpuinfo` names it.
    pub cpu: String,
    /// Logical processors that the harness may use.
    pub cpus: u32,
    /// Main memory.
    pub memory_bytes: u64,
    /// File system type of the working directory.
    pub filesystem: String,
    /// Free bytes there when the run started.
    pub free_bytes: u64,
}

/// What the dataset's disk and one core can do at best, for one dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Bytes of the dataset's database file.
    pub dataset_bytes: u64,
    /// Cold sequential read of the dataset, once.
    pub sequential_read_seconds: f64,
    /// Durable sequential write (fsync included) of as many bytes, or of 1 GiB where the dataset is larger.
    pub durable_write_bytes_per_second: f64,
    /// `cp` of the dataset followed by fsync of file and directory: one measurement right before each backup.
    pub copy_seconds: Vec<f64>,
    /// fsync after a 4 KiB append: median over 50.
    pub fsync_ms: f64,
    /// Bytes per second of xxh3 on one core over memory.
    pub hash_bytes_per_second: f64,
}

/// One subject x dataset x workload x variant x fault, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Unique in the run, and the same for the same plan.
    pub id: String,
    /// `sqlite` or `mysql`.
    pub engine: String,
    /// `embedded` or `tracker`.
    pub app: String,
    /// The strategy's name in the registry.
    pub strategy: String,
    /// How the strategy works: `cold`, `online`, `logical`, `snapshot`, `continuous`, `external` or `control`. Null in
    /// `drill/1`.
    #[serde(default)]
    pub kind: Option<String>,
    /// True for strategies that promise nothing and are there to show that the verifier has teeth.
    pub control: bool,
    /// What the strategy promises, in words.
    pub promise: String,
    /// Whether the backup can be kept elsewhere than on the database's disk, so that it survives the loss of that disk:
    /// false for a snapshot in the same file system. Null where nobody can tell (a script of the user's), and in `drill/1`.
    #[serde(default)]
    pub survives_disk_loss: Option<bool>,
    /// The strategy's settings, defaults included.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// What tells variants apart: the name that the scenario gives, or the settings that it names as a short text.
    pub variant: String,
    /// The database that the trial ran on.
    pub dataset: Dataset,
    /// Type of the file system that the data lay on, as the kernel names it, with `on a loop device` or `in a file`
    /// where the harness made it for the trial; null where nobody looked.
    #[serde(default)]
    pub file_system: Option<String>,
    /// The concurrent writes.
    pub workload: Workload,
    /// What went wrong on purpose besides the disaster, or null.
    pub fault: Option<String>,
    /// Counts from 1.
    pub repetition: u32,
    /// What the trial came to.
    pub verdict: Verdict,
    /// What the verdict rests on.
    pub reason: String,
    /// The verdicts that the scenario expects of this variant; empty: what its promise demands.
    pub expected: Vec<Verdict>,
    /// The limits that the scenario sets on measurements of this trial: `recovery_seconds`: `< 60`. Empty where it sets
    /// none, and in older results.
    #[serde(default)]
    pub thresholds: BTreeMap<String, String>,
    /// Version of every tool that took part.
    pub versions: BTreeMap<String, String>,
    /// When each phase began, in seconds after provisioning began.
    pub phases: Vec<PhaseStart>,
    /// The backup itself; null when the trial ended before it.
    pub backup: Option<Backup>,
    /// What the backup did to the application; null when there is nothing to compare.
    pub impact: Option<Impact>,
    /// Restores in the tail, while the application ran, where the variant asked for them.
    #[serde(default)]
    pub live_restores: Vec<LiveRestore>,
    /// The way back; null when there was nothing to restore.
    pub restore: Option<Restore>,
    /// What was lost; null when nothing was restored.
    pub recovery_point: Option<RecoveryPoint>,
    /// The six checks; null when nothing was restored.
    pub verification: Option<Verification>,
    /// Who used how much.
    pub resources: Resources,
    /// One sample a second.
    pub samples: Vec<Sample>,
    /// What was kept of the trial, so that its verdict can be disputed; null where nothing had to be kept.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// What the trial left on the machine that could not be removed, as a path in its directory, and why; null when
    /// nothing stays.
    #[serde(default)]
    pub leftover: Option<String>,
}

/// What was kept of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// Its directory, as a path from that of `results.json`; null when nothing was kept.
    pub path: Option<String>,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
    /// What was not kept, and why: one entry a part.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// What a trial came to, from best to worst: the worst verdict of a set is the set's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The restored database is right.
    Restorable,
    /// A tool, a privilege or a file system that the strategy needs is not here.
    Unavailable,
    /// The trial proved nothing.
    Unverified,
    /// It converged too slowly for the deadline.
    TimedOut,
    /// The backup stopped converging.
    Stalled,
    /// The strategy reported an error.
    Failed,
    /// A consistent earlier state, without writes that this strategy promised to keep.
    Lossy,
    /// The strategy said success and the restored database is wrong.
    Corrupt,
}

impl Verdict {
    /// The name in `results.json`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Restorable => "restorable",
            Verdict::Unavailable => "unavailable",
            Verdict::Unverified => "unverified",
            Verdict::TimedOut => "timed_out",
            Verdict::Stalled => "stalled",
            Verdict::Failed => "failed",
            Verdict::Lossy => "lossy",
            Verdict::Corrupt => "corrupt",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The database that a trial ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// Name in the registry of profiles.
    pub profile: String,
    /// Size asked for.
    pub target_bytes: u64,
    /// Size of the database file.
    pub bytes: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// What its content follows from.
    pub seed: u64,
    /// What was odd about a database of the user's own before any trial, or cannot be checked here, one line each: a
    /// restored database has to show the same and nothing more.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// The concurrent writes of a trial: what was declared and what was offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// Declared rate over all writers; null for a closed loop (as fast as it is acknowledged).
    pub writes_per_second: Option<f64>,
    /// Writes that were due, over the time in which they were; null when none was.
    pub offered_writes_per_second: Option<f64>,
    /// `constant`, `burst` or `wave`.
    pub pattern: String,
    /// `constant` or `poisson` arrivals, or `closed` loop.
    pub arrivals: String,
    /// Concurrent writers, a connection each.
    pub writers: u32,
    /// Rows that a plain write changes.
    pub rows_per_transaction: u32,
    /// Share of the writes that change rows which have to agree.
    pub multi_row_share: f64,
    /// SQLite's `wal` or `delete`; null for MySQL.
    pub journal_mode: Option<String>,
    /// SQLite's `synchronous`: `off`, `normal`, `full` or `extra`; null where the harness does not set it.
    pub synchronous: Option<String>,
    /// How long a writer waits for a lock on a SQLite file before its write is refused; null where the harness does
    /// not set it.
    pub busy_timeout_ms: Option<u64>,
    /// Pages of the write-ahead log after which a writer's commit makes a checkpoint, as SQLite's `wal_autocheckpoint`;
    /// null where the harness does not set it.
    #[serde(default)]
    pub wal_autocheckpoint: Option<u32>,
    /// How a tracker is announced to: `udp`, `http` or `both`; null without a tracker.
    #[serde(default)]
    pub announces: Option<String>,
    /// Options of the MySQL server besides the harness's own, among them those that decide durability.
    #[serde(default)]
    pub server_options: BTreeMap<String, String>,
    /// `cold` or `warm`: the state of the page cache for the database when the backup begins.
    pub cache: String,
    /// Share of the database file that was in the page cache when the backup began.
    pub cached_share: Option<f64>,
    /// Extents that the live database lay in right before the backup; null where the scenario does not ask for a number
    /// of them, or the file system does not tell.
    #[serde(default)]
    pub extents: Option<u64>,
}

/// When a phase of a trial began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseStart {
    /// `provision`, `reference`, `settle`, `arm`, `backup`, `tail`, `disaster`, `restore`, `serve`, `verify` or `record`.
    pub phase: String,
    /// Seconds after provisioning began.
    pub at_seconds: f64,
}

/// The backup itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// From the call until the artifact was durable, without the wait for its turn of a strategy that backs up at
    /// intervals; null when it never was.
    pub seconds: Option<f64>,
    /// How long it ran until it finished or was ended.
    pub elapsed_seconds: f64,
    /// Bytes of the artifact, as far as a restore needs it; null when there is none.
    pub artifact_bytes: Option<u64>,
    /// Bytes that the strategy's processes read, page cache included.
    pub bytes_read: Option<u64>,
    /// Bytes that they had the disk read.
    pub bytes_read_from_disk: Option<u64>,
    /// Logical bytes written: what the strategy's processes passed to write calls, whether or not it reached a disk.
    pub bytes_written: Option<u64>,
    /// Bytes written to disk: what of that the kernel sent to a block device by the end of the backup.
    #[serde(default)]
    pub bytes_written_to_disk: Option<u64>,
    /// How often it began again; null where the tool does not tell.
    pub restarts: Option<u64>,
    /// Pages copied, repeated ones included; null where the tool does not tell.
    pub pages_copied: Option<u64>,
    /// The furthest it got, from 0 to 1; null where the tool does not tell.
    pub progress: Option<f64>,
    /// Time of one undisturbed pass, from the rate at which pages were copied; null for a backup that does not
    /// begin again when somebody commits, or that did not copy enough to tell.
    pub pass_seconds: Option<f64>,
    /// Commits per second while it ran; null when no ledger could tell.
    pub commits_per_second: Option<f64>,
    /// How long it would take in all: the law of restarts where passes begin again with every commit, else
    /// what its speed so far gives; null when neither applies or it finished.
    pub eta_seconds: Option<f64>,
    /// `cp` and fsync of the same bytes right before this backup.
    pub copy_seconds: Option<f64>,
    /// `copy_seconds` divided by `seconds`: above 1 is faster than a plain copy.
    pub vs_copy: Option<f64>,
    /// What the strategy's commands printed last; null when they printed nothing.
    pub output: Option<String>,
    /// What fell into the time in which the artifact was made; null where there is no artifact, or the application was
    /// stopped all that time.
    #[serde(default)]
    pub challenge: Option<Challenge>,
}

/// What could have disturbed a backup: a copy that nothing disturbed proves little.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// From the first byte of the artifact until its last.
    pub seconds: f64,
    /// Writes that had been sent and were not yet answered at some moment of this time.
    pub writes: u64,
    /// Writes acknowledged in this time.
    pub commits: u64,
    /// Checkpoints that wrote into the database file, at least; null without a write-ahead log.
    pub checkpoints: Option<u64>,
    /// Resets of the write-ahead log, at least; null without one.
    pub log_resets: Option<u64>,
    /// How many bytes longer than at the beginning of this time database and write-ahead log were in it; null without one.
    pub growth_bytes: Option<u64>,
    /// Whether something happened that could have made a careless backup wrong: for what may copy the files of a
    /// database in WAL mode a checkpoint or a reset of the log, for everything else a write.
    pub challenged: bool,
}

/// What the backup did to the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Workload and no backup; null when no write was due.
    pub reference: Option<Window>,
    /// While the backup ran; null when no write was due.
    pub during: Option<Window>,
    /// Blocked time: time in the backup window in which no write could be acknowledged. The application was stopped, or
    /// writes waited and none was acknowledged for 0.1 s or more. A stop counts until the first acknowledgement after
    /// it, also where that comes after the window.
    pub blocked_seconds: Option<f64>,
    /// The longest single such time.
    pub longest_blocked_seconds: Option<f64>,
    /// Downtime: the part of the blocked time in which the application was stopped on purpose, start-up included; 0 when
    /// it never was. Null in `drill/1`.
    #[serde(default)]
    pub downtime_seconds: Option<f64>,
}

/// The writes that were due in one window. Latency counts from when a write was due, so a blocked
/// application cannot hide: a write that was never answered counts with the time until the application was killed, and
/// one that was due while the application was stopped on purpose with the time until it acknowledged writes again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Length of the window.
    pub seconds: f64,
    /// Writes that the latencies are taken from: a 99th percentile of fewer than 1,000 rests on fewer than ten. Null in
    /// `drill/1`.
    #[serde(default)]
    pub writes: Option<u64>,
    /// Median latency; null when no write was answered or waiting.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p999_ms: Option<f64>,
    /// Worst latency.
    pub max_ms: Option<f64>,
    /// Writes acknowledged in the window, a second.
    pub writes_per_second: f64,
    /// Writes due in the window that were refused, or that found the application stopped.
    pub errors: u64,
}
