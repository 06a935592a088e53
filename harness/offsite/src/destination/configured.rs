//! A destination with settings, which are parsed once.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::contract::{Definition, Destination};
use crate::settings::{self, SettingDoc, Settings};

/// Parses settings: all of them with defaults filled in, and the destination.
type Configure = fn(&Settings) -> Result<(Settings, Arc<dyn Destination>), String>;

/// A destination of the registry. Its file submits it to the list of all destinations.
pub struct DestinationEntry {
    /// The name in scenarios and records.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// Each setting.
    pub settings: &'static [SettingDoc],
    configure: Configure,
}

inventory::collect!(DestinationEntry);

impl DestinationEntry {
    /// The entry of a destination.
    pub const fn of<D: Definition>() -> DestinationEntry {
        DestinationEntry {
            name: D::NAME,
            summary: D::SUMMARY,
            settings: D::SETTINGS,
            configure: |given| {
                let destination: D = settings::parse(given)?;
                destination.validate()?;
                Ok((settings::complete(&destination), Arc::new(destination)))
            },
        }
    }

    /// The destination with given settings; the others have their defaults.
    ///
    /// # Errors
    /// [`Error::Input`]: what is wrong with the settings.
    pub fn configure(&'static self, given: &Settings) -> Result<ConfiguredDestination> {
        let (settings, destination) = (self.configure)(given)
            .map_err(|error| Error::Input(format!("settings of the destination '{}': {error}", self.name)))?;
        Ok(ConfiguredDestination { entry: self, settings, destination })
    }
}

/// A destination by its name, with the settings that are given: as a job holds it. It contains no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationChoice {
    /// The name in the registry.
    pub name: String,
    /// The given settings.
    #[serde(default)]
    pub settings: Settings,
}

/// A destination with valid settings.
#[derive(Clone)]
pub struct ConfiguredDestination {
    entry: &'static DestinationEntry,
    settings: Settings,
    destination: Arc<dyn Destination>,
}

impl Deref for ConfiguredDestination {
    type Target = dyn Destination;

    fn deref(&self) -> &Self::Target {
        &*self.destination
    }
}

impl fmt::Debug for ConfiguredDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry.name)
    }
}

impl ConfiguredDestination {
    /// The entry of the registry.
    pub fn entry(&self) -> &'static DestinationEntry {
        self.entry
    }

    /// All settings, with defaults filled in.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name with all settings, for jobs.
    pub fn choice(&self) -> DestinationChoice {
        DestinationChoice { name: self.entry.name.to_owned(), settings: self.settings.clone() }
    }

    /// What is missing on this machine to use it, and how to get it.
    pub fn missing(&self) -> Option<String> {
        self.tools().iter().find_map(|tool| tool.missing())
    }
}
