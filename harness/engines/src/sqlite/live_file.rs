//! A SQLite file that is written to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::settings::{SqliteSettings, Synchronous};
use crate::mode::Mode;

/// A SQLite file and how it is written to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveFile {
    /// The database.
    pub database: PathBuf,
    /// Journal mode to set.
    pub mode: Mode,
    /// `synchronous` of each connection.
    pub synchronous: Synchronous,
    /// How long a write waits for a lock before it is refused.
    pub busy_timeout_ms: u64,
    /// Pages in the write-ahead log after which a commit runs a checkpoint; 0: never.
    pub wal_autocheckpoint: u32,
}

impl LiveFile {
    /// A file that is written to with these settings.
    pub fn new(database: PathBuf, mode: Mode, settings: &SqliteSettings) -> LiveFile {
        let SqliteSettings { synchronous, busy_timeout_ms, wal_autocheckpoint } = *settings;
        LiveFile { database, mode, synchronous, busy_timeout_ms, wal_autocheckpoint }
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be opened, or its journal mode cannot be set.
    pub(super) fn open(&self) -> anyhow::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)
            .with_context(|| format!("cannot open {}", self.database.display()))?;
        connection.busy_timeout(Duration::from_millis(self.busy_timeout_ms))?;
        connection.pragma_update(None, "journal_mode", self.mode.name)?;
        connection.pragma_update(None, "synchronous", self.synchronous.name())?;
        connection.pragma_update(None, "wal_autocheckpoint", self.wal_autocheckpoint)?;
        Ok(connection)
    }
}
