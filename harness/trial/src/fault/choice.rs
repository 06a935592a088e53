//! The faults that a scenario names.

use machine::error::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strategies::contract::Settings;

use super::configured::ConfiguredFault;
use super::registry;

/// The name that means no fault.
pub const NONE: &str = "none";

/// A value of a scenario's `faults`: a name, or a table with a name and settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FaultChoice {
    /// The name of a fault with its defaults, or `none`.
    Name(String),
    /// The settings of a fault; the key `fault` is its name.
    Table(Settings),
}

impl FaultChoice {
    /// No fault.
    pub fn none() -> FaultChoice {
        FaultChoice::Name(NONE.into())
    }

    /// The fault that it names; `None` for none.
    ///
    /// # Errors
    /// An unknown name, or what is wrong with the settings.
    pub fn configure(&self) -> Result<Option<ConfiguredFault>, String> {
        let (name, settings) = match self {
            FaultChoice::Name(name) if name == NONE => return Ok(None),
            FaultChoice::Name(name) => (name.clone(), Settings::new()),
            FaultChoice::Table(table) => {
                let mut settings = table.clone();
                match settings.remove("fault") {
                    Some(Value::String(name)) => (name, settings),
                    _ => {
                        return Err(
                            "a table in `faults` needs the key `fault` with the name of a fault".into()
                        );
                    }
                }
            }
        };
        let entry = registry::named(&name).map_err(|error| match error {
            Error::Input(message) => message,
            other => other.to_string(),
        })?;
        entry.configure(&settings).map(Some).map_err(|message| format!("fault '{name}': {message}"))
    }
}
