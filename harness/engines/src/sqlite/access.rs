//! How a SQLite database is reached.

use std::fmt;

use model::dataset::{OriginalTorrents, TableNames};
use model::verify::reader::{DatabaseReader, Location};
use model::writes::Model;
use serde_json::Value;

use super::client::connect;
use super::live_file::LiveFile;
use super::reader::SqliteFile;
use crate::access::Access;
use crate::client::Client;

impl fmt::Display for LiveFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.database.display().fmt(f)
    }
}

impl Location for LiveFile {
    /// No other process may have it open, and it has to be closed cleanly.
    fn reader(&self, names: TableNames) -> Box<dyn DatabaseReader + '_> {
        Box::new(SqliteFile { path: &self.database, names })
    }
}

impl Access for LiveFile {
    fn connect<'a>(
        &'a self,
        model: &'a Model,
        original: &'a dyn OriginalTorrents,
    ) -> anyhow::Result<Box<dyn Client + 'a>> {
        connect(self, model, original)
    }

    fn open_transaction(&self) -> anyhow::Result<Box<dyn Send>> {
        let connection = self.open()?;
        connection.execute_batch("BEGIN")?;
        let count: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        anyhow::ensure!(count > 0, "the database has no table");
        Ok(Box::new(connection))
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).expect("it is plain data")
    }
}
