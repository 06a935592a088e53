//! Variants: strategies with their settings, and where they are put on trial.

use std::collections::BTreeMap;

use engines::kinds::{App, Engine};
use engines::sqlite::client::JournalMode;
use machine::file_system::FileSystem;
use reports::record::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strategies::strategy::Settings;

/// A strategy with its settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What tells it apart in ids and reports; its settings when absent.
    pub name: Option<String>,
    /// Name in the registry.
    pub strategy: String,
    /// What differs from the defaults.
    #[serde(default)]
    pub settings: Settings,
    /// One trial each with this as the setting `version`: versions of a tool side by side.
    pub versions: Option<Vec<String>>,
    /// Only on these engines; on all of the subject's that the strategy knows when absent.
    pub engines: Option<Vec<Engine>>,
    /// Only with these applications; with all of the subject's when absent.
    pub apps: Option<Vec<App>>,
    /// Only in these journal modes; all of the subject's when absent. Does not concern MySQL.
    pub journal_modes: Option<Vec<JournalMode>>,
    /// Only on these file systems; on all of the subject's when absent.
    pub file_systems: Option<Vec<FileSystem>>,
    /// Verdicts that this scenario expects, where they differ from what the promise demands.
    #[serde(default)]
    pub expect: Vec<Verdict>,
    /// Limits on measurements of this variant: in addition to those of the scenario, or in their place.
    #[serde(default)]
    pub thresholds: BTreeMap<String, String>,
}

impl Variant {
    /// The forms that it stands for: one for each of its versions, or itself.
    ///
    /// # Errors
    /// When its settings name a version, too.
    pub fn forms(&self) -> Result<Vec<Form>, String> {
        let Some(versions) = &self.versions else {
            return Ok(vec![Form { name: self.name.clone(), settings: self.settings.clone() }]);
        };
        if versions.is_empty() {
            return Err("versions is empty: there is nothing to compare".into());
        }
        if self.settings.contains_key("version") {
            return Err("its settings name a version, and it has versions: give one of them".into());
        }
        let with = |version: &String| {
            let mut settings = self.settings.clone();
            settings.insert("version".into(), version.clone().into());
            Form { name: self.name.as_ref().map(|name| format!("{name} {version}")), settings }
        };
        Ok(versions.iter().map(with).collect())
    }
}

/// One form of a variant.
pub struct Form {
    /// As of the variant; tells its versions apart.
    pub name: Option<String>,
    /// What differs from the defaults.
    pub settings: Settings,
}

impl Form {
    /// Its name, or the settings that it has, with `separator` between them.
    pub fn label(&self, separator: &str) -> String {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let settings = || self.settings.iter().map(|(name, value)| format!("{name}={}", plain(value)));
        self.name.clone().unwrap_or_else(|| settings().collect::<Vec<_>>().join(separator))
    }
}
