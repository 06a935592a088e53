//! How a database is reached.

use std::fmt;

use model::dataset::OriginalTorrents;
use model::verify::reader::Location;
use model::writes::Model;
use serde_json::Value;

use crate::client::Client;
use crate::secret::Secret;

/// Executes statements.
pub type AnotherClient<'a> = dyn FnMut(&str) -> anyhow::Result<()> + 'a;

/// The account of a database server that the application uses.
pub struct DatabaseAccount<'a> {
    /// Its name in statements: quoted, and with the hosts that it may connect from.
    pub name: String,
    /// Its password.
    pub password: &'a Secret,
}

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

    /// Connects another client. It executes one statement at each call, and ignores the rows that the statement returns.
    ///
    /// # Errors
    /// When the database cannot be opened, or rejects the statement.
    fn another_client(&self) -> anyhow::Result<Box<AnotherClient<'_>>>;

    /// The account that the application uses; `None` where there are no accounts.
    fn account(&self) -> Option<DatabaseAccount<'_>> {
        None
    }

    /// Its serialised form, which [`Engine::access`](crate::engine::Engine::access) reads.
    fn value(&self) -> Value;
}
