//! How the database of a server is reached.

use std::fmt;

use model::dataset::{OriginalTorrents, TableNames};
use model::verify::reader::{DatabaseReader, Location};
use model::writes::Model;
use serde_json::Value;

use super::client::connect;
use super::connection::{Address, Connection};
use super::flavour::Flavour;
use super::reader::ServerReader;
use crate::access::{Access, AnotherClient, DatabaseAccount};
use crate::client::Client;

/// How the database of a server is reached.
#[derive(Clone, Debug)]
pub struct ServerAccess {
    /// Which server it is.
    pub flavour: &'static Flavour,
    /// Where it listens.
    pub address: Address,
}

impl fmt::Display for ServerAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Location for ServerAccess {
    fn reader(&self, _names: TableNames) -> Box<dyn DatabaseReader + '_> {
        Box::new(ServerReader { flavour: self.flavour, address: &self.address })
    }
}

impl Access for ServerAccess {
    fn connect<'a>(
        &'a self,
        model: &'a Model,
        original: &'a dyn OriginalTorrents,
    ) -> anyhow::Result<Box<dyn Client + 'a>> {
        connect(&self.address, model, original)
    }

    fn another_client(&self) -> anyhow::Result<Box<AnotherClient<'_>>> {
        let mut connection = Connection::connect(&self.address)?;
        Ok(Box::new(move |statement| Ok(connection.execute(statement)?)))
    }

    fn account(&self) -> Option<DatabaseAccount<'_>> {
        Some(DatabaseAccount { name: self.address.account(), password: &self.address.password })
    }

    fn value(&self) -> Value {
        serde_json::to_value(&self.address).expect("an address is plain data")
    }
}
