//! Who used how much, over a trial and at each moment of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who used how much over the whole trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// The application with its database.
    pub subject: Usage,
    /// The processes of the strategy, in backup and restore.
    pub strategy: Usage,
    /// The harness itself: pacing and ledger run inside the embedded application and count there.
    pub harness: Usage,
    /// The largest WAL or rollback journal beside the live database.
    pub journal_bytes_max: Option<u64>,
    /// CPU seconds a second of what ships continuously, over the tail: with no writes declared, what it costs while it is
    /// idle. Null where nothing ships.
    #[serde(default)]
    pub shipping_cpu_share: Option<f64>,
}

/// What a group of processes used. Null: it had no process, or the kernel did not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of the largest process. Of processes of this machine it is the resident memory; of those in a
    /// container the anonymous memory, looked at every 0.1 s, without files that they map (page cache).
    pub memory_bytes_max: Option<u64>,
    /// Bytes read from the disk.
    pub bytes_read: Option<u64>,
    /// Bytes that went to the disk.
    pub bytes_written: Option<u64>,
}

/// The state at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Seconds after provisioning began.
    pub at_seconds: f64,
    /// The phase at that moment.
    pub phase: String,
    /// Writes acknowledged so far.
    pub acknowledged_writes: u64,
    /// Median latency of the writes that were acknowledged since the last sample, from when each was due; null when none
    /// was.
    #[serde(default)]
    pub latency_p50_ms: Option<f64>,
    /// 99th percentile of the same.
    #[serde(default)]
    pub latency_p99_ms: Option<f64>,
    /// Worst of the same.
    #[serde(default)]
    pub latency_max_ms: Option<f64>,
    /// WAL or rollback journal beside the live database; null when there is none.
    pub journal_bytes: Option<u64>,
    /// Bytes of the artifact's directory so far; null before the backup. Where a look at it takes long, that of the last.
    #[serde(default)]
    pub artifact_bytes: Option<u64>,
    /// What the backup has left to do, from 1 to 0; null outside the backup or where the tool does not tell.
    pub backup_remaining: Option<f64>,
    /// CPU seconds of the subject so far.
    pub subject_cpu_seconds: Option<f64>,
    /// CPU seconds of the strategy's processes that run now.
    pub strategy_cpu_seconds: Option<f64>,
    /// Anonymous memory, at that moment, of the largest of the strategy's processes.
    pub strategy_memory_bytes: Option<u64>,
    /// CPU seconds of the harness so far, without its children.
    #[serde(default)]
    pub harness_cpu_seconds: Option<f64>,
    /// Bytes that the subject's processes that run now have had the disk read so far.
    #[serde(default)]
    pub subject_disk_bytes_read: Option<u64>,
    /// Bytes that they have sent to the disk so far.
    #[serde(default)]
    pub subject_disk_bytes_written: Option<u64>,
    /// Bytes that the strategy's processes that run now have had the disk read so far.
    #[serde(default)]
    pub strategy_disk_bytes_read: Option<u64>,
    /// Bytes that they have sent to the disk so far.
    #[serde(default)]
    pub strategy_disk_bytes_written: Option<u64>,
    /// Bytes that the harness has had the disk read so far, without its children.
    #[serde(default)]
    pub harness_disk_bytes_read: Option<u64>,
    /// Bytes that it has sent to the disk so far.
    #[serde(default)]
    pub harness_disk_bytes_written: Option<u64>,
}
