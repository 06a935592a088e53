//! The schema of `results.json`, version `drill/2`.
//!
//! Sizes are in bytes and times in seconds, unless the name of a field states another unit. A value that was not
//! measured is `null`, never 0. The JSON Schema in `reports/schema/drill-2.json` is generated from these types; a
//! change of meaning raises [`SCHEMA`]. Files of `drill/1` can still be read: see [`crate::load`].

mod fault;
mod restored;
mod stages;
mod used;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use fault::{Aftermath, Fault};
pub use restored::{Check, Level, LiveRestore, RecoveryPoint, Restore, Verification};
pub use stages::{Offsite, Stage, StageSettings};
pub use used::{Resources, Sample, Usage};

/// The version of the schema that this crate writes.
pub const SCHEMA: &str = "drill/2";

/// One execution of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// Always `drill/2` in files that this version writes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The run as a whole: scenario, machine, calibration and conditions.
    pub run: Run,
    /// One record per trial, in the order in which the trials ran.
    pub trials: Vec<Trial>,
}

/// The run as a whole: scenario, machine, calibration and conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Scenario name and start time; unique in a results directory.
    pub id: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Purpose of the scenario, as its file describes it.
    pub description: String,
    /// Command line that repeats this run.
    pub command: String,
    /// Number of trials in the plan. When there are fewer records, the run was interrupted.
    pub planned_trials: u32,
    /// Time at which the run started (RFC 3339, UTC).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// Random seed from which datasets, workloads and arrival times are generated.
    pub seed: u64,
    /// Version of the harness, with the git commit of its checkout if there is one.
    pub harness_version: String,
    /// The machine that the run was made on.
    pub host: Host,
    /// Best performance of this machine, measured during this run: one entry per dataset.
    pub calibration: Vec<Calibration>,
    /// Conditions that all trials share and that neither `host` nor the trial records state: the values of the
    /// scenario by their dotted path, the build of the harness, and the versions of tools and images. A run can be
    /// resumed only under the same conditions. Empty in older results.
    #[serde(default)]
    pub conditions: BTreeMap<String, serde_json::Value>,
    /// The part of the plan that this run covers; null for a whole run, including one merged from shards.
    #[serde(default)]
    pub shard: Option<Shard>,
    /// The machines of a run that was merged from shards of different machines; absolute times from different
    /// machines cannot be compared. Empty when all trials ran on `host`.
    #[serde(default)]
    pub machines: Vec<Machine>,
}

/// A part of a plan that can run separately, in parallel with the other parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Number of this shard, counted from 1.
    pub number: u32,
    /// Number of shards that the plan was divided into.
    pub of: u32,
    /// Ids of all trials of the whole plan, in plan order.
    pub plan: Vec<String>,
}

/// One of several machines, with the trials that ran on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The machine.
    pub host: Host,
    /// Ids of the trials that ran on it.
    pub trials: Vec<String>,
}

/// The machine that a run was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Operating system, from `/etc/os-release`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor model, from `/proc/cpuinfo`.
    pub cpu: String,
    /// Logical processors that the harness may use.
    pub cpus: u32,
    /// Size of the main memory in bytes.
    pub memory_bytes: u64,
    /// Type of the file system of the working directory.
    pub filesystem: String,
    /// Free space on that file system when the run started, in bytes.
    pub free_bytes: u64,
}

/// Best performance of the dataset's disk and of one processor core, for one dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Size of the dataset's database file in bytes.
    pub dataset_bytes: u64,
    /// Time in seconds of one sequential read of the dataset with a cold page cache.
    pub sequential_read_seconds: f64,
    /// Throughput of a durable sequential write (fsync included) of as many bytes as the dataset has, 1 GiB at most.
    pub durable_write_bytes_per_second: f64,
    /// Copy baselines: time in seconds of a plain `cp` of the dataset with fsync of file and directory, measured
    /// right before each backup.
    pub copy_seconds: Vec<f64>,
    /// Latency of an fsync after an append of 4 KiB, in milliseconds: the median of 50.
    pub fsync_ms: f64,
    /// Speed of the xxh3 hash on one core over data in memory, in bytes per second.
    pub hash_bytes_per_second: f64,
}

/// The record of one trial: one repetition of a variant on one subject, dataset and workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Unique in the run; the same plan always gives the same ids.
    pub id: String,
    /// Database engine: `sqlite` or `mysql`.
    pub engine: String,
    /// Application that writes: `embedded` (the harness's own writer) or `tracker` (the Torrust tracker).
    pub app: String,
    /// Name of the strategy in the registry.
    pub strategy: String,
    /// Kind of strategy: `cold`, `online`, `logical`, `snapshot`, `continuous`, `external` or `control`. Null in
    /// results of `drill/1` where it cannot be derived.
    #[serde(default)]
    pub kind: Option<String>,
    /// True for a negative control: a strategy that is unsafe on purpose, promises nothing, and shows that
    /// verification finds damage.
    pub control: bool,
    /// The strategy's promise as a text: which state it restores, and what it may lose.
    pub promise: String,
    /// Whether the backup survives the loss of the database's disk, because it can be kept on another one: false for
    /// a snapshot in the same file system. Null where this is not known (a user's own script), and in `drill/1`.
    #[serde(default)]
    pub survives_disk_loss: Option<bool>,
    /// Settings of the strategy, defaults included.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Name of the variant: the one given in the scenario, or a short text of the settings given there.
    pub variant: String,
    /// The database that the trial ran on.
    pub dataset: Dataset,
    /// Type of the file system that held the data, by its kernel name, followed by `on a loop device` or `in a file`
    /// where the harness created it for the trial; null where it was not determined.
    #[serde(default)]
    pub file_system: Option<String>,
    /// The concurrent writes during the trial.
    pub workload: Workload,
    /// Fault that was injected besides the disaster, and what came of it; null without one.
    pub fault: Option<Fault>,
    /// The stages that the artifact passed through to a destination and back; null when it stayed on the machine.
    #[serde(default)]
    pub offsite: Option<Offsite>,
    /// Number of the repetition, counted from 1.
    pub repetition: u32,
    /// Result of the trial.
    pub verdict: Verdict,
    /// Reason for the verdict.
    pub reason: String,
    /// Verdicts that the scenario expects of this variant. Empty where it names none: the promise is what counts
    /// then.
    pub expected: Vec<Verdict>,
    /// Limits that the scenario sets on measurements of this trial, such as `< 60` for `recovery_seconds`. Empty
    /// where it sets none, and in older results.
    #[serde(default)]
    pub thresholds: BTreeMap<String, String>,
    /// Version of every tool that took part, by its name.
    pub versions: BTreeMap<String, String>,
    /// Start time of each phase.
    pub phases: Vec<PhaseStart>,
    /// The backup; null when the trial ended before it.
    pub backup: Option<Backup>,
    /// Effect of the backup on the application; null when the trial ended before the backup.
    pub impact: Option<Impact>,
    /// Restores made during the tail phase, while the application ran; empty unless the variant requests them.
    #[serde(default)]
    pub live_restores: Vec<LiveRestore>,
    /// The restore after the disaster; null when there was nothing to restore.
    pub restore: Option<Restore>,
    /// Data loss; null when no restored database was verified.
    pub recovery_point: Option<RecoveryPoint>,
    /// Results of the checks of the restored database; null when none was verified.
    pub verification: Option<Verification>,
    /// CPU time, memory and disk traffic of application, strategy and harness.
    pub resources: Resources,
    /// One sample per second.
    pub samples: Vec<Sample>,
    /// Evidence that was kept, so that the verdict can be checked again; null where none had to be kept.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// Files of the trial that could not be removed from the machine: the path within the trial's directory, and why.
    /// Null when everything was removed.
    #[serde(default)]
    pub leftover: Option<String>,
}

/// Evidence that was kept of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// Directory of the evidence, relative to the directory of `results.json`; null when nothing was kept.
    pub path: Option<String>,
    /// Disk space that the evidence uses, in bytes.
    pub bytes: u64,
    /// Parts that were not kept, each with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// Result of a trial, ordered from best to worst. The verdict of several trials is the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The restored database is correct, with every write that the strategy promised to keep.
    Restorable,
    /// A tool, a privilege or a file system that the strategy needs is missing on this machine.
    Unavailable,
    /// The trial proved nothing; reports show this verdict as "inconclusive".
    Unverified,
    /// The backup made progress, but was incomplete at the deadline.
    TimedOut,
    /// The backup stopped making progress: it kept restarting, or nothing more was copied for a set time.
    Stalled,
    /// The strategy reported an error.
    Failed,
    /// The restored database is a consistent earlier state, and lacks writes that the strategy promised to keep.
    Lossy,
    /// The strategy reported success, and the restored database is wrong.
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
    /// Name of the dataset profile.
    pub profile: String,
    /// Requested size in bytes.
    pub target_bytes: u64,
    /// Actual size of the database file in bytes.
    pub bytes: u64,
    /// Number of rows in all tables.
    pub rows: u64,
    /// Random seed that its content is generated from.
    pub seed: u64,
    /// Irregularities that a user's own database had before any trial, and parts of it that cannot be checked here,
    /// one line each. A restored database must show the same irregularities and no others.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// The concurrent writes of a trial: the declared load and the load that was offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// Declared rate of all writers together; null for a closed loop, in which each writer sends its next write as
    /// soon as the last one was answered.
    pub writes_per_second: Option<f64>,
    /// Offered rate: writes that were due, per second; null when none was due.
    pub offered_writes_per_second: Option<f64>,
    /// How the rate changes over time: `constant`, `burst`, `wave` or `pause`.
    pub pattern: String,
    /// How arrivals are spaced: `constant`, `poisson`, or `closed` for a closed loop.
    pub arrivals: String,
    /// Number of concurrent writers; each has its own connection.
    pub writers: u32,
    /// Number of rows that an ordinary write changes.
    pub rows_per_transaction: u32,
    /// Share of the writes that change several rows which must agree with each other, from 0 to 1.
    pub multi_row_share: f64,
    /// SQLite's journal mode, `wal` or `delete`; null for MySQL.
    pub journal_mode: Option<String>,
    /// SQLite's `synchronous`: `off`, `normal`, `full` or `extra`; null where the harness does not set it.
    pub synchronous: Option<String>,
    /// Time in milliseconds that a writer waits for a lock on a SQLite database before its write is refused; null
    /// where the harness does not set it.
    pub busy_timeout_ms: Option<u64>,
    /// SQLite's `wal_autocheckpoint`: number of pages in the write-ahead log from which on a commit triggers a
    /// checkpoint; null where the harness does not set it.
    #[serde(default)]
    pub wal_autocheckpoint: Option<u32>,
    /// SQLite's `journal_size_limit`: size in bytes to which the log is truncated when it is reset; null where there is
    /// no limit, or the harness does not set it.
    #[serde(default)]
    pub journal_size_limit: Option<i64>,
    /// Checkpoints that another connection ran all the time, such as `truncate every 50 ms`; null where there were none.
    #[serde(default)]
    pub checkpoints: Option<String>,
    /// Protocol of the announces to the tracker: `udp`, `http` or `both`; null without a tracker.
    #[serde(default)]
    pub announces: Option<String>,
    /// Options of the MySQL server, in addition to those that the harness always sets. They include the options that
    /// decide durability.
    #[serde(default)]
    pub server_options: BTreeMap<String, String>,
    /// Requested state of the page cache when the backup begins: `cold` or `warm`.
    pub cache: String,
    /// Share of the database file that was in the page cache when the backup began, from 0 to 1; null where it was
    /// not measured.
    pub cached_share: Option<f64>,
    /// Number of extents of the live database file right before the backup; null where the scenario does not set a
    /// number, or the file system does not report it.
    #[serde(default)]
    pub extents: Option<u64>,
}

/// Start of a phase of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseStart {
    /// Name of the phase: `provision`, `reference`, `settle`, `arm`, `backup`, `tail`, `disaster`, `restore`,
    /// `serve`, `verify` or `record`.
    pub phase: String,
    /// Start of the phase, in seconds since provisioning began.
    pub at_seconds: f64,
}

/// Measurements of the backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// Backup time: seconds from the call until the artifact was durable. Where a strategy backs up at intervals, the
    /// wait for the next interval is not included. Null when the artifact never became durable.
    pub seconds: Option<f64>,
    /// Seconds that the backup ran until it finished or was ended.
    pub elapsed_seconds: f64,
    /// Size of the artifact in bytes, as far as a restore needs it; null when there is none.
    pub artifact_bytes: Option<u64>,
    /// Bytes that the strategy's processes read, including data that came from the page cache.
    pub bytes_read: Option<u64>,
    /// Bytes that were read from disk for these processes.
    pub bytes_read_from_disk: Option<u64>,
    /// Logical bytes written: what the strategy's processes passed to write calls, whether or not it reached a disk.
    pub bytes_written: Option<u64>,
    /// Bytes written to disk: the part of these that the kernel had sent to a block device by the end of the backup.
    #[serde(default)]
    pub bytes_written_to_disk: Option<u64>,
    /// Number of times that the backup restarted from the beginning; null where the tool does not report it.
    pub restarts: Option<u64>,
    /// Number of pages copied, including pages that were copied again; null where the tool does not report it.
    pub pages_copied: Option<u64>,
    /// Largest share of the database that was copied in one pass, from 0 to 1; null where the tool does not report
    /// it.
    pub progress: Option<f64>,
    /// Estimated seconds of one undisturbed pass over the database, from the rate at which pages were copied. Null
    /// for a backup that commits do not restart, and where too few pages were copied for an estimate.
    pub pass_seconds: Option<f64>,
    /// Commits per second during the backup; null when no write was due.
    pub commits_per_second: Option<f64>,
    /// Estimated total time in seconds of an unfinished backup: from the restart model where every commit restarts
    /// it, else from its speed so far. Null when neither applies, and when the backup finished.
    pub eta_seconds: Option<f64>,
    /// Copy baseline: seconds that a plain `cp` and fsync of the same bytes took right before this backup.
    pub copy_seconds: Option<f64>,
    /// Copy speed: `copy_seconds` divided by `seconds`. 1.0 is as fast as a plain copy, above 1 is faster.
    pub vs_copy: Option<f64>,
    /// Last output of the strategy's commands; null when they printed nothing.
    pub output: Option<String>,
    /// What could have disturbed the backup while the artifact was written; null where there is no artifact, or the
    /// application was stopped for that whole time.
    #[serde(default)]
    pub challenge: Option<Challenge>,
}

/// Events that could have disturbed a backup. A backup that nothing disturbed proves little, even if it is restorable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// Length of the observed time in seconds: from the first to the last byte of the artifact.
    pub seconds: f64,
    /// Number of writes that were in flight (sent and not yet answered) at some moment of this time.
    pub writes: u64,
    /// Number of writes acknowledged in this time.
    pub commits: u64,
    /// Number of observed checkpoints that wrote to the database file: a lower bound. Null without a write-ahead log.
    pub checkpoints: Option<u64>,
    /// Number of observed resets of the write-ahead log: a lower bound. Null without a write-ahead log.
    pub log_resets: Option<u64>,
    /// Largest growth of database and write-ahead log together since the beginning of this time, in bytes; null
    /// without a write-ahead log.
    pub growth_bytes: Option<u64>,
    /// Whether something happened that makes an unsafe backup wrong. For strategies that may copy the files of a
    /// database in WAL mode (`cold`, `snapshot`, `external`, `control`) this is a checkpoint or a log reset; for all
    /// others it is a write.
    pub challenged: bool,
}

/// Effect of the backup on the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Reference window: the workload without a backup; null when no write was due.
    pub reference: Option<Window>,
    /// Backup window: the workload while the backup ran; null when no write was due.
    pub during: Option<Window>,
    /// Blocked time, total: seconds in the backup window in which no write could be acknowledged, because the
    /// application was stopped, or because writes waited and none was acknowledged for 0.1 s or more. A stop counts
    /// until the first acknowledgement after it, even if that is after the end of the window. Null when no write was
    /// due and nothing was stopped.
    pub blocked_seconds: Option<f64>,
    /// Blocked time, longest: the longest single such time, in seconds.
    pub longest_blocked_seconds: Option<f64>,
    /// Downtime: seconds of the blocked time in which the application was stopped on purpose, start-up included; 0
    /// when it was not stopped. Null in `drill/1`.
    #[serde(default)]
    pub downtime_seconds: Option<f64>,
}

/// The writes that were due in one window. Latency counts from when a write was due, so it includes the time for
/// which a blocked application kept writes waiting (no coordinated omission). A write that was never answered counts
/// with the time until the application was killed; a write that was due while the application was stopped on purpose
/// counts with the time until it acknowledged writes again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Length of the window in seconds.
    pub seconds: f64,
    /// Number of writes that the latencies are computed from. A 99th percentile of fewer than 1,000 writes rests on
    /// fewer than ten of them. Null in `drill/1`.
    #[serde(default)]
    pub writes: Option<u64>,
    /// Median write latency in milliseconds; null when no write was answered or waiting.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the write latency in milliseconds.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile of the write latency in milliseconds.
    pub p999_ms: Option<f64>,
    /// Maximum write latency in milliseconds.
    pub max_ms: Option<f64>,
    /// Throughput: writes acknowledged in the window, per second.
    pub writes_per_second: f64,
    /// Number of writes due in the window that were refused, timed out, or found the application stopped.
    pub errors: u64,
}
