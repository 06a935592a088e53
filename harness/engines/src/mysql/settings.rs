//! The settings of servers that speak MySQL's protocol.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::flavour::Flavour;
use super::options::{self, ServerArguments, option_name};
use crate::settings::{OptionValue, Settings, values_of};

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    flavour: &'static Flavour,
    keys: Keys,
}

/// The keys of the section `subject`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    /// Number of commits after which the binary log is synced to disk; 0: never.
    sync_binlog: u32,
    /// 1: the redo log is synced at each commit; 2: written at each commit; 0: written once a second.
    innodb_flush_log_at_trx_commit: u32,
    /// Any other option of the server. The name of this key begins with that of the engine.
    options: BTreeMap<String, OptionValue>,
    /// Port of the live server on 127.0.0.1; any free one when absent.
    port: Option<u16>,
}

impl Default for Keys {
    fn default() -> Self {
        Keys { sync_binlog: 1, innodb_flush_log_at_trx_commit: 1, options: BTreeMap::new(), port: None }
    }
}

/// The name of [`Keys::options`] in the code.
const OPTIONS: &str = "options";

impl ServerSettings {
    /// From the values of its keys, with defaults for all others.
    ///
    /// # Errors
    /// What is wrong with a value.
    pub(super) fn new(flavour: &'static Flavour, given: Map<String, Value>) -> serde_json::Result<Self> {
        let keys = renamed(given, &options_key(flavour), OPTIONS);
        Ok(ServerSettings { flavour, keys: serde_json::from_value(Value::Object(keys))? })
    }

    /// All options that a server is started with, in addition to those that the harness sets.
    pub fn options(&self) -> BTreeMap<String, OptionValue> {
        let Keys { sync_binlog, innodb_flush_log_at_trx_commit, options, .. } = &self.keys;
        let durability = [
            ("sync_binlog", *sync_binlog),
            ("innodb_flush_log_at_trx_commit", *innodb_flush_log_at_trx_commit),
        ];
        let durability =
            durability.map(|(name, value)| (name.to_owned(), OptionValue::Integer(value.into())));
        let given = options.iter().map(|(name, value)| (option_name(name), value.clone()));
        durability.into_iter().chain(given).collect()
    }

    /// The same as arguments.
    pub fn arguments(&self) -> ServerArguments {
        ServerArguments::new(&self.options())
    }

    /// Port of the live server on 127.0.0.1; any free one when absent.
    pub fn port(&self) -> Option<u16> {
        self.keys.port
    }
}

impl Settings for ServerSettings {
    fn values(&self) -> Map<String, Value> {
        renamed(values_of(&self.keys), OPTIONS, &options_key(self.flavour))
    }

    fn check(&self) -> Result<(), String> {
        options::check(&options_key(self.flavour), &self.options())
    }
}

/// The key of the options of a server.
pub(super) fn options_key(flavour: &Flavour) -> String {
    format!("{}_options", flavour.engine)
}

fn renamed(mut values: Map<String, Value>, from: &str, to: &str) -> Map<String, Value> {
    if let Some(value) = values.remove(from) {
        values.insert(to.to_owned(), value);
    }
    values
}
