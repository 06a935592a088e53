//! Settings of transforms and destinations: given as a TOML table, parsed once into a type.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Settings as they are given, without defaults.
pub type Settings = toml::Table;

/// The documentation of one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// The name, which is that of the field.
    pub name: &'static str,
    /// The type as text: `string`, `integer`, `path`, `list of strings`.
    pub kind: &'static str,
    /// The default as text; `required` when there is none.
    pub default: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

/// Parses settings.
///
/// # Errors
/// What is wrong with them: an unknown name, a wrong type, a missing value.
pub(crate) fn parse<T: DeserializeOwned>(given: &Settings) -> Result<T, String> {
    given.clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// All settings, with defaults filled in; absent optional ones are left out.
pub(crate) fn complete<T: Serialize>(parsed: &T) -> Settings {
    Settings::try_from(parsed).expect("settings are structs of plain values")
}

/// The name, with the settings that were given: `zstd:level=9`.
pub(crate) fn label(name: &str, given: &Settings) -> String {
    let plain = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let given: Vec<String> = given.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
    if given.is_empty() { name.to_owned() } else { format!("{name}:{}", given.join(",")) }
}
