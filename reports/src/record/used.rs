//! Resource usage: over a whole trial, and sampled during it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Resource usage over the whole trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// The application and its database.
    pub subject: Usage,
    /// The processes of the strategy, for backup and restore.
    pub strategy: Usage,
    /// The harness. Pacing and ledger run inside the embedded application, so they count as `subject`.
    pub harness: Usage,
    /// Largest size of the write-ahead log or rollback journal of the live database, in bytes; null when there was
    /// none.
    pub journal_bytes_max: Option<u64>,
    /// CPU usage of continuous replication during the tail phase, in CPU seconds per second; without writes, this is
    /// its idle cost. Null where nothing replicates.
    #[serde(default)]
    pub shipping_cpu_share: Option<f64>,
}

/// Resource usage of a group of processes. A value is null when the group had no process, or the kernel did not
/// report it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// User and system CPU time in seconds.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of the largest process, in bytes. For processes on the host this is resident memory. For processes
    /// in a container it is anonymous memory, sampled every 0.1 s, which excludes mapped files (page cache).
    pub memory_bytes_max: Option<u64>,
    /// Bytes read from the disk.
    pub bytes_read: Option<u64>,
    /// Bytes written to the disk.
    pub bytes_written: Option<u64>,
}

/// Measurements at one moment of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Time of the sample, in seconds since provisioning began.
    pub at_seconds: f64,
    /// Phase of the trial at that time.
    pub phase: String,
    /// Number of writes acknowledged so far.
    pub acknowledged_writes: u64,
    /// Median latency in milliseconds of the writes that were acknowledged since the previous sample, counted from
    /// when each was due; null when none was acknowledged.
    #[serde(default)]
    pub latency_p50_ms: Option<f64>,
    /// 99th percentile of these latencies, in milliseconds.
    #[serde(default)]
    pub latency_p99_ms: Option<f64>,
    /// Maximum of these latencies, in milliseconds.
    #[serde(default)]
    pub latency_max_ms: Option<f64>,
    /// Size of the write-ahead log or rollback journal of the live database, in bytes; null when there is none.
    pub journal_bytes: Option<u64>,
    /// Size of the artifact's directory in bytes; null before the backup. A directory that takes long to measure is
    /// measured less often: the value is then that of the last measurement.
    #[serde(default)]
    pub artifact_bytes: Option<u64>,
    /// Share of the backup that is still to be done, from 1 to 0; null outside the backup, and where the tool does
    /// not report it.
    pub backup_remaining: Option<f64>,
    /// CPU seconds that the subject's running processes have used so far.
    pub subject_cpu_seconds: Option<f64>,
    /// CPU seconds that the strategy's running processes have used so far.
    pub strategy_cpu_seconds: Option<f64>,
    /// Current anonymous memory of the strategy's largest process, in bytes.
    pub strategy_memory_bytes: Option<u64>,
    /// CPU seconds that the harness has used so far, without its child processes.
    #[serde(default)]
    pub harness_cpu_seconds: Option<f64>,
    /// Bytes that were read from disk so far for the subject's running processes.
    #[serde(default)]
    pub subject_disk_bytes_read: Option<u64>,
    /// Bytes that they have written to disk so far.
    #[serde(default)]
    pub subject_disk_bytes_written: Option<u64>,
    /// Bytes that were read from disk so far for the strategy's running processes.
    #[serde(default)]
    pub strategy_disk_bytes_read: Option<u64>,
    /// Bytes that they have written to disk so far.
    #[serde(default)]
    pub strategy_disk_bytes_written: Option<u64>,
    /// Bytes that were read from disk so far for the harness, without its child processes.
    #[serde(default)]
    pub harness_disk_bytes_read: Option<u64>,
    /// Bytes that it has written to disk so far.
    #[serde(default)]
    pub harness_disk_bytes_written: Option<u64>,
    /// Bytes of this machine's page cache that are not on a disk yet, whoever wrote them.
    #[serde(default)]
    pub unwritten_bytes: Option<u64>,
    /// Mean duration in milliseconds of the writes that the live database's device completed since the previous sample,
    /// whoever requested them; null when there was none, and where the device is not known.
    #[serde(default)]
    pub disk_write_ms: Option<f64>,
    /// Mean duration in milliseconds of its flushes. A commit that is durable waits for one.
    #[serde(default)]
    pub disk_flush_ms: Option<f64>,
}
