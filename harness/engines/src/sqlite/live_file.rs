//! A SQLite file that is written to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::settings::SqliteSettings;
use crate::mode::Mode;

/// A SQLite file and how it is written to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveFile {
    /// The database.
    pub database: PathBuf,
    /// Journal mode to set.
    pub mode: Mode,
    /// The settings of each connection.
    pub settings: SqliteSettings,
}

impl LiveFile {
    /// A file that is written to with these settings.
    pub fn new(database: PathBuf, mode: Mode, settings: &SqliteSettings) -> LiveFile {
        LiveFile { database, mode, settings: settings.clone() }
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be opened, or its journal mode cannot be set.
    pub(super) fn open(&self) -> anyhow::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)
            .with_context(|| format!("cannot open {}", self.database.display()))?;
        let settings = &self.settings;
        connection.busy_timeout(Duration::from_millis(settings.busy_timeout_ms))?;
        connection.pragma_update(None, "journal_mode", self.mode.name)?;
        connection.pragma_update(None, "synchronous", settings.synchronous.name())?;
        connection.pragma_update(None, "wal_autocheckpoint", settings.wal_autocheckpoint)?;
        connection.pragma_update(None, "journal_size_limit", settings.journal_size_limit)?;
        Ok(connection)
    }
}
