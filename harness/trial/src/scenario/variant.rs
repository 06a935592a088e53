//! Variants: strategies with their settings, and the subjects that they are tested on.

use std::collections::BTreeMap;

use engines::applications::App;
use engines::engine::Engine;
use engines::mode::Mode;
use machine::file_system::FileSystem;
use reports::record::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strategies::contract::Settings;

/// A strategy with its settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The name that identifies it in ids and reports; its settings are used when absent.
    pub name: Option<String>,
    /// Name in the registry.
    pub strategy: String,
    /// The settings that differ from the defaults.
    #[serde(default)]
    pub settings: Settings,
    /// Values of the setting `version`, one trial each: compares versions of a tool.
    pub versions: Option<Vec<String>>,
    /// Only on these engines; on all engines of the subject that the strategy supports when absent.
    pub engines: Option<Vec<&'static dyn Engine>>,
    /// Only with these applications; with all of the subject's when absent.
    pub apps: Option<Vec<App>>,
    /// Only in these modes; in all of the subject's when absent. Ignored for engines without modes.
    #[serde(rename = "journal_modes")]
    pub modes: Option<Vec<Mode>>,
    /// Only on these file systems; on all of the subject's when absent.
    pub file_systems: Option<Vec<FileSystem>>,
    /// Verdicts that this scenario expects, where they differ from those that follow from the strategy's promise.
    #[serde(default)]
    pub expect: Vec<Verdict>,
    /// Limits on measurements of this variant; they add to the limits of the scenario, or replace those of the same
    /// name.
    #[serde(default)]
    pub thresholds: BTreeMap<String, String>,
}

impl Variant {
    /// The forms of this variant: one for each of its versions, or a single one without `versions`.
    ///
    /// # Errors
    /// When `versions` is empty, or its settings name a version as well.
    pub fn forms(&self) -> Result<Vec<Form>, String> {
        let Some(versions) = &self.versions else {
            return Ok(vec![Form { name: self.name.clone(), settings: self.settings.clone() }]);
        };
        if versions.is_empty() {
            return Err("`versions` is empty: list at least one version, or remove the key".into());
        }
        if self.settings.contains_key("version") {
            return Err("`versions` and settings.version are both set: remove one of them".into());
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
    /// The name of the variant, followed by the version if it has several.
    pub name: Option<String>,
    /// The settings that differ from the defaults.
    pub settings: Settings,
}

impl Form {
    /// Its name, or its settings with `separator` between them.
    pub fn label(&self, separator: &str) -> String {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let settings = || self.settings.iter().map(|(name, value)| format!("{name}={}", plain(value)));
        self.name.clone().unwrap_or_else(|| settings().collect::<Vec<_>>().join(separator))
    }
}
