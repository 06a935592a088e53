//! What a scenario says about engines. Each engine has settings of its own, in its own type: keys of the scenario's
//! section `subject`. A key that several engines have is a setting of each of them.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// The settings of one engine. The doc comments of its fields say what the keys mean.
pub trait Settings: Any + fmt::Debug + Send + Sync {
    /// The value of every key, defaults included.
    fn values(&self) -> Map<String, Value>;

    /// Checks what the type of a single value cannot.
    ///
    /// # Errors
    /// The key that a trial cannot be run with, and why.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The fields of plain settings as values.
pub(crate) fn values_of(settings: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(values)) => values,
        _ => unreachable!("settings are structs of plain values"),
    }
}

/// The settings of all engines.
#[derive(Clone, Debug)]
pub struct EngineSettings(BTreeMap<&'static str, Arc<dyn Settings>>);

impl EngineSettings {
    /// The settings of each engine, by its name.
    pub fn new(of_engines: impl IntoIterator<Item = (&'static str, Arc<dyn Settings>)>) -> EngineSettings {
        EngineSettings(of_engines.into_iter().collect())
    }

    /// The settings of an engine, in their type.
    ///
    /// # Panics
    /// When its settings are of another type.
    pub fn of<S: Settings>(&self, engine: &str) -> &S {
        let settings: Option<&dyn Any> = self.0.get(engine).map(|settings| &**settings as &dyn Any);
        settings.and_then(|settings| settings.downcast_ref()).expect("an engine asks for its own settings")
    }

    /// Every key of an engine, with its value.
    pub fn values(&self) -> Map<String, Value> {
        self.0.values().flat_map(|settings| settings.values()).collect()
    }

    /// Checks the settings of all engines.
    ///
    /// # Errors
    /// The key that a trial cannot be run with, and why.
    pub fn check(&self) -> Result<(), String> {
        self.0.values().try_for_each(|settings| settings.check())
    }
}

impl Serialize for EngineSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values().serialize(serializer)
    }
}

/// The value of an option of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "the value of a server's option must be a string, a number, true or false")]
pub enum OptionValue {
    /// The option without a value, or its opposite.
    Switch(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Switch(on) => write!(f, "{on}"),
            OptionValue::Integer(number) => write!(f, "{number}"),
            OptionValue::Decimal(number) => write!(f, "{number}"),
            OptionValue::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_not_a_valid_value_of_an_option() {
        let error = toml::from_str::<BTreeMap<String, OptionValue>>("log_bin = [1]").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("option must be a string, a number, true or false"), "{error}");
    }
}
