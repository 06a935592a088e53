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
}

impl Default for SqliteSettings {
    fn default() -> Self {
        SqliteSettings {
            synchronous: Synchronous::default(),
            busy_timeout_ms: 5000,
            wal_autocheckpoint: 1000,
        }
    }
}

impl Settings for SqliteSettings {
    fn values(&self) -> Map<String, Value> {
        values_of(self)
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
