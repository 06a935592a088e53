//! Restores: how long they took, which data they lack, and what the checks found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The restore after the disaster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Restore {
    /// Restore time: seconds from the call until the data directory was complete and durable; null when the restore
    /// failed.
    pub seconds: Option<f64>,
    /// Recovery time (RTO, measured): seconds from the disaster until the restored application had answered one read
    /// and one write; null when it did not answer.
    pub recovery_seconds: Option<f64>,
    /// Last output of the strategy's commands; null when they printed nothing.
    #[serde(default)]
    pub output: Option<String>,
}

/// A restore made during the tail phase, while the application ran, from the data that had been replicated by then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveRestore {
    /// Start of the restore, in seconds since provisioning began.
    pub at_seconds: f64,
    /// Restore time: seconds from the call until the data was complete and durable.
    pub seconds: f64,
    /// Data loss, as if the disaster had happened at the call; null when the rows could not be read.
    pub recovery_point: Option<RecoveryPoint>,
    /// Results of its checks.
    pub verification: Verification,
}

/// Data loss: what the restored database lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPoint {
    /// Number of writes acknowledged before the disaster.
    pub acknowledged_writes: u64,
    /// Number of writes without an answer: they may or may not be in the database.
    pub indeterminate_writes: u64,
    /// Data loss at the disaster: number of acknowledged writes that the restored database lacks.
    pub lost_writes: u64,
    /// Number of acknowledged writes that the restored database lacks although the strategy promised to keep them.
    pub lost_promised_writes: u64,
    /// Number of acknowledged writes that the application's own database lacked when it was killed. The application
    /// lost these, not the strategy, so the counts above exclude them. Null where this was not examined.
    #[serde(default)]
    pub never_written: Option<u64>,
    /// Data loss at the disaster, in seconds: from the newest write in the restored database until the disaster; 0
    /// when nothing was lost. Null when the restored database has none of the writes.
    pub lost_seconds: Option<f64>,
    /// Data loss at backup completion (RPO floor): number of writes acknowledged before the backup was complete that
    /// the restored database lacks. It does not depend on how long the scenario waits before the disaster. Null where
    /// replication continues after the backup: the restored state is newer than its completion, so use the loss at
    /// the disaster. Null in `drill/1`.
    #[serde(default)]
    pub lost_writes_at_completion: Option<u64>,
    /// Data loss at backup completion (RPO floor), in seconds: from the newest write in the restored database until
    /// the backup was complete; 0 when no write was lost. Null where `lost_writes_at_completion` is null, and when
    /// the restored database has none of the writes.
    #[serde(default)]
    pub lost_seconds_at_completion: Option<f64>,
    /// Age in seconds, at backup completion, of the newest write in the restored database, whether or not a write was
    /// lost. Null where replication continues after the backup.
    pub staleness_at_completion_seconds: Option<f64>,
}

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The check found nothing wrong.
    Pass,
    /// The check found something wrong: see the findings.
    Fail,
}

/// How thoroughly a restored database was verified. Both levels compare all rows with the ledger, and every index with
/// its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The engine looks up every row in every index: SQLite's `integrity_check`, `CHECK TABLE ... EXTENDED` of MySQL.
    Full,
    /// The engine reads each tree on its own: SQLite's `quick_check`, `CHECK TABLE ... QUICK` of MySQL.
    Fast,
}

impl Level {
    /// The name in scenarios and in `results.json`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Full => "full",
            Level::Fast => "fast",
        }
    }
}

/// Results of the checks of a restored database. A check that could not be completed, or that crashed, is null, and
/// the findings give the reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The level of the verification. Null in older results, and when the verifier failed.
    #[serde(default)]
    pub level: Option<Level>,
    /// The engine's own integrity checks pass, and there is no damage to files and no leftover journal.
    pub integrity: Option<Check>,
    /// The rows of every writer are exactly those after its first n writes.
    pub prefix: Option<Check>,
    /// Where a write is in the database, every write acknowledged before it was sent is there as well.
    pub order: Option<Check>,
    /// Rows that change in the same transaction agree: no transaction is partially applied.
    pub transactions: Option<Check>,
    /// Rows that the workload never touches are unchanged.
    pub content: Option<Check>,
    /// Every write that the strategy promised to keep is in the database.
    pub loss: Option<Check>,
    /// Configuration files beside the database are unchanged: file type, content, mode, owner, target of links. Null
    /// for a strategy that does not back up configuration.
    #[serde(default)]
    pub configuration: Option<Check>,
    /// What is wrong: one line per finding, a few dozen lines at most.
    pub findings: Vec<String>,
    /// Harmless differences from the source, one line each: no query shows them, or nothing is known to rely on them.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Duration of the verification in seconds.
    pub seconds: f64,
}
