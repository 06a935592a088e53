//! The contenders of a model, with the coefficients of their lines.

use serde::Serialize;

use super::line::Line;
use crate::record::Verdict;

/// A model of how strategies behave at other sizes and rates, fitted to runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// The machines of the runs. Times of several machines are combined, although they differ by more than chance.
    pub machines: Vec<String>,
    /// One entry for each strategy, with its settings, on one kind of subject.
    pub contenders: Vec<Contender>,
}

/// A strategy with its settings on one kind of subject, and how its figures grow. A line is null where nothing was
/// measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contender {
    /// Strategy, variant, and the conditions that differ from those of others; unique in the model.
    pub label: String,
    /// `sqlite` or `mysql`.
    pub engine: String,
    /// `embedded` or `tracker`.
    pub app: String,
    /// SQLite's journal mode; null for MySQL.
    pub journal_mode: Option<String>,
    /// Name of the strategy.
    pub strategy: String,
    /// Name or settings of the variant.
    pub variant: String,
    /// Whether the backup survives the loss of the database's disk; null where this is not known.
    pub survives_disk_loss: Option<bool>,
    /// `needs_downtime`, `online`, `continuous` or `same_disk`: what using it means for the operator.
    pub family: String,
    /// True for continuous replication: the data loss is its lag, whatever the interval between backups.
    pub continuous: bool,
    /// Ids of the trials that it was fitted to.
    pub trials: Vec<String>,
    /// The declared rates that were measured, in writes per second, ascending.
    pub rates: Vec<f64>,
    /// Backup time in seconds; null where every commit restarts the backup.
    pub backup: Option<Line>,
    /// Time of one undisturbed pass in seconds; null unless every commit restarts the backup.
    pub pass: Option<Line>,
    /// Blocked time in seconds.
    pub blocked: Option<Line>,
    /// Recovery time in seconds.
    pub recovery: Option<Line>,
    /// Size of the artifact in bytes.
    pub artifact: Option<Line>,
    /// Data loss at backup completion (RPO floor) in seconds; null for continuous replication.
    pub floor: Option<Line>,
    /// Data loss at the disaster in seconds, over writes per second; null unless it replicates continuously.
    pub lag: Option<Line>,
    /// The results of its conclusive trials.
    pub outcomes: Vec<TrialOutcome>,
}

/// The result of one trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialOutcome {
    /// The trial's id.
    pub trial: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Size of the database in bytes.
    pub bytes: f64,
    /// Declared rate in writes per second.
    pub rate: f64,
    /// Reason for the verdict.
    pub reason: String,
    /// True unless the verdict is `restorable`.
    pub failed: bool,
}
