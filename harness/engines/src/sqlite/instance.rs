//! A SQLite database in one place of a trial. SQLite runs inside the application's process.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use machine::error::Result;
use rusqlite::Connection;

use super::live_file::LiveFile;
use crate::access::Access;
use crate::error::attributed;
use crate::instance::{Instance, TRACKER_DATA, TrackerDatabase};

impl Instance for LiveFile {
    fn is_in_application(&self) -> bool {
        true
    }

    /// Opening the file rolls back the journal, or recovers the write-ahead log.
    fn recover(&mut self) -> Result<()> {
        let recover = || -> anyhow::Result<()> {
            let connection = Connection::open(&self.database)
                .context("cannot open the database that the disaster left")?;
            let count = "SELECT count(*) FROM sqlite_schema";
            let _: i64 = connection
                .query_row(count, [], |row| row.get(0))
                .context("cannot read the database that the disaster left")?;
            connection
                .pragma_update(None, "journal_mode", "delete")
                .context("cannot checkpoint its write-ahead log")
        };
        Ok(recover().map_err(attributed)?)
    }

    fn data(&self) -> &Path {
        &self.database
    }

    fn access(&self) -> Arc<dyn Access> {
        Arc::new(self.clone())
    }

    fn for_tracker(&self) -> TrackerDatabase {
        let name = self.database.file_name().expect("a database is a file").to_string_lossy();
        let directory = self.database.parent().expect("a database lies in a directory");
        TrackerDatabase {
            driver: "sqlite3",
            path: format!("{TRACKER_DATA}/{name}"),
            directory: Some(directory.to_owned()),
        }
    }
}
