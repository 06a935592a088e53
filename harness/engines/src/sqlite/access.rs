//! How a SQLite database is reached.

use std::fmt;

use model::dataset::{OriginalTorrents, TableNames};
use model::verify::reader::{DatabaseReader, Location};
use model::writes::Model;
use serde_json::Value;

use super::client::connect;
use super::live_file::LiveFile;
use super::reader::SqliteFile;
use crate::access::{Access, AnotherClient};
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

    fn another_client(&self) -> anyhow::Result<Box<AnotherClient<'_>>> {
        let connection = self.open()?;
        Ok(Box::new(move |statement| {
            let mut prepared = connection.prepare(statement)?;
            let mut rows = prepared.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        }))
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).expect("it is plain data")
    }
}
