//! A fault with settings, which are parsed once.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;
use strategies::contract::Settings;

use super::contract::{Definition, Fault};

/// A fault of the registry. Its file submits it to the list of all faults.
pub struct FaultEntry {
    /// The name in scenarios and records.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub summary: &'static str,
    /// Each setting with its meaning.
    pub settings: &'static [(&'static str, &'static str)],
    configure: fn(&'static FaultEntry, &Settings) -> Result<ConfiguredFault, String>,
}

inventory::collect!(FaultEntry);

impl FaultEntry {
    /// The entry of a fault.
    pub const fn of<F: Definition>() -> FaultEntry {
        FaultEntry { name: F::NAME, summary: F::SUMMARY, settings: F::SETTINGS, configure: configure::<F> }
    }

    /// The fault with given settings; the others have their defaults.
    ///
    /// # Errors
    /// What is wrong with the settings: an unknown name, a wrong type, an impossible value.
    pub fn configure(&'static self, given: &Settings) -> Result<ConfiguredFault, String> {
        (self.configure)(self, given)
    }

    /// The fault with the defaults of all settings.
    pub fn with_defaults(&'static self) -> ConfiguredFault {
        self.configure(&Settings::new()).expect("the defaults are valid")
    }
}

fn configure<F: Definition>(entry: &'static FaultEntry, given: &Settings) -> Result<ConfiguredFault, String> {
    let fault: F = serde_json::from_value(Value::Object(given.clone())).map_err(|error| error.to_string())?;
    fault.validate()?;
    let Ok(Value::Object(settings)) = serde_json::to_value(&fault) else {
        unreachable!("settings are structs of plain values")
    };
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let given: Vec<String> = given.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    let label =
        if given.is_empty() { entry.name.to_owned() } else { format!("{}:{}", entry.name, given.join(",")) };
    Ok(ConfiguredFault { entry, settings, label, fault: Arc::new(fault) })
}

/// A fault with valid settings, as a plan holds it.
#[derive(Clone)]
pub struct ConfiguredFault {
    entry: &'static FaultEntry,
    settings: Settings,
    label: String,
    fault: Arc<dyn Fault>,
}

impl Deref for ConfiguredFault {
    type Target = dyn Fault;

    fn deref(&self) -> &Self::Target {
        &*self.fault
    }
}

impl fmt::Debug for ConfiguredFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl ConfiguredFault {
    /// Its name in the registry.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Its name, with the settings that the scenario gives.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// All settings, with defaults filled in.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
