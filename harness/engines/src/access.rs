//! How a database is reached.

use std::fmt;

use model::dataset::OriginalTorrents;
use model::verify::reader::Location;
use model::writes::Model;
use serde_json::Value;

use crate::client::Client;

/// How a database is reached: by the application that writes to it, and by the verifier that reads it. It is plain data
/// that can be sent to a worker.
pub trait Access: Location + fmt::Debug + Send + Sync {
    /// Connects the embedded application.
    ///
    /// # Errors
    /// When the database cannot be opened, or does not answer.
    fn connect<'a>(
        &'a self,
        model: &'a Model,
        original: &'a dyn OriginalTorrents,
    ) -> anyhow::Result<Box<dyn Client + 'a>>;

    /// Begins a transaction that has read from the database, and returns what keeps it open until it is dropped.
    ///
    /// # Errors
    /// When the database cannot be opened or read.
    fn open_transaction(&self) -> anyhow::Result<Box<dyn Send>>;

    /// Its serialised form, which [`Engine::access`](crate::engine::Engine::access) reads.
    fn value(&self) -> Value;
}
