//! What came back: restores, what they lack, and what their checks found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Restore {
    /// From the call until the data directory was complete and durable; null when it never was.
    pub seconds: Option<f64>,
    /// The measured recovery time: from the disaster until one read and one write were answered; null when
    /// the restored subject never did.
    pub recovery_seconds: Option<f64>,
    /// What the strategy's commands printed last; null when they printed nothing.
    #[serde(default)]
    pub output: Option<String>,
}

/// A restore in the tail, while the application ran, of what had been shipped by then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveRestore {
    /// Seconds after provisioning began.
    pub at_seconds: f64,
    /// From the call until the data was complete and durable.
    pub seconds: f64,
    /// What it lacked, as if the disaster had come with the call; null when the rows could not be read.
    pub recovery_point: Option<RecoveryPoint>,
    /// What its checks came to.
    pub verification: Verification,
}

/// What the restored database lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPoint {
    /// Writes acknowledged before the disaster.
    pub acknowledged_writes: u64,
    /// Writes without an answer: they may or may not be in.
    pub indeterminate_writes: u64,
    /// Acknowledged writes that the restored database lacks.
    pub lost_writes: u64,
    /// Acknowledged writes that it lacks although this strategy promised to keep them.
    pub lost_promised_writes: u64,
    /// Acknowledged writes that the application's own database lacked when it was killed: the application's loss,
    /// not the strategy's, and left out of the counts above. Null where nobody looked.
    #[serde(default)]
    pub never_written: Option<u64>,
    /// From the newest write that it holds until the disaster; 0 when nothing was lost.
    pub lost_seconds: Option<f64>,
    /// The recovery point's floor: writes acknowledged before the backup was complete that the restored database lacks.
    /// It does not depend on how long the scenario waits before the disaster. Null where shipping goes on after the
    /// backup: what is restored then is from later, and the loss at the disaster is the figure. Null in `drill/1`.
    #[serde(default)]
    pub lost_writes_at_completion: Option<u64>,
    /// From the newest write that it holds until the backup was complete; 0 when no write was acknowledged in between.
    /// Null where that number is.
    #[serde(default)]
    pub lost_seconds_at_completion: Option<f64>,
    /// From the newest write that it holds until the backup was complete; null where shipping goes on after the backup.
    pub staleness_at_completion_seconds: Option<f64>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Nothing wrong was found.
    Pass,
    /// Something wrong was found: see the findings.
    Fail,
}

/// The six checks. Null: the check could not be made, or crashed; the findings say why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Engine integrity, foreign file damage, leftover journals.
    pub integrity: Option<Check>,
    /// For every writer, exactly the rows after its first n writes.
    pub prefix: Option<Check>,
    /// When a write is in, every write acknowledged before it was sent is in.
    pub order: Option<Check>,
    /// Rows that change together agree.
    pub transactions: Option<Check>,
    /// Rows that the workload never touches are as they were.
    pub content: Option<Check>,
    /// No write is missing that the strategy promised to keep.
    pub loss: Option<Check>,
    /// Configuration files beside the database are as they were: what they are, content, mode, owner, target of links.
    /// Null for a strategy that takes none along.
    #[serde(default)]
    pub configuration: Option<Check>,
    /// What is wrong, one line a finding, at most a few dozen.
    pub findings: Vec<String>,
    /// What differs from the source and is no damage, one line each: no query shows it, or nothing is known to rely on it.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// How long verification took.
    pub seconds: f64,
}
