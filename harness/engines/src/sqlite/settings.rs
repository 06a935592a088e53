//! SQLite's settings.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::settings::{Settings, values_of};

/// SQLite's settings, where the harness itself opens the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteSettings {
    /// SQLite's `synchronous`.
    pub synchronous: Synchronous,
    /// How long a write waits for a lock before it is refused.
    pub busy_timeout_ms: u64,
    /// Pages in the write-ahead log after which a commit runs a checkpoint: a lower number means more checkpoints during
    /// a backup; 0: never.
    pub wal_autocheckpoint: u32,
    /// Size in bytes to which a log is truncated when it is reset; -1: it keeps its size.
    pub journal_size_limit: i64,
    /// Checkpoints that a connection of its own runs all the time, beside those of the commits.
    pub checkpoints: Option<Checkpoints>,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        SqliteSettings {
            synchronous: Synchronous::default(),
            busy_timeout_ms: 5000,
            wal_autocheckpoint: 1000,
            journal_size_limit: -1,
            checkpoints: None,
        }
    }
}

impl Settings for SqliteSettings {
    fn values(&self) -> Map<String, Value> {
        values_of(self)
    }

    fn check(&self) -> Result<(), String> {
        if self.journal_size_limit < -1 {
            return Err("journal_size_limit must be a size in bytes, or -1 for none".into());
        }
        match self.checkpoints {
            Some(Checkpoints { interval_ms: 0, .. }) => {
                Err("checkpoints.interval_ms must be at least 1".into())
            }
            _ => Ok(()),
        }
    }
}

/// Checkpoints at an interval.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoints {
    /// How far they go.
    pub mode: CheckpointMode,
    /// Time from the end of one to the start of the next.
    pub interval_ms: u64,
}

impl Checkpoints {
    /// In words, for records.
    pub fn describe(self) -> String {
        format!("{} every {} ms", self.mode.name(), self.interval_ms)
    }
}

/// The mode of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointMode {
    /// As far as possible without waiting for readers or writers.
    Passive,
    /// Waits for writers, and for readers of older states.
    Full,
    /// As full, and the next commit writes the log from its beginning.
    Restart,
    /// As restart, and the log is truncated.
    Truncate,
}

impl CheckpointMode {
    /// The name in SQL and in records.
    pub fn name(self) -> &'static str {
        match self {
            CheckpointMode::Passive => "passive",
            CheckpointMode::Full => "full",
            CheckpointMode::Restart => "restart",
            CheckpointMode::Truncate => "truncate",
        }
    }
}

/// SQLite's `synchronous` setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// Never waits for the disk.
    Off,
    /// In WAL mode, waits for the disk only at checkpoints.
    Normal,
    /// Waits for the disk at each commit.
    #[default]
    Full,
    /// As `full`, and also waits for the directory of a rollback journal.
    Extra,
}

impl Synchronous {
    /// The name in SQL and in records.
    pub fn name(self) -> &'static str {
        match self {
            Synchronous::Off => "off",
            Synchronous::Normal => "normal",
            Synchronous::Full => "full",
            Synchronous::Extra => "extra",
        }
    }
}
