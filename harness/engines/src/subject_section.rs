//! The section `subject` of a scenario: the system under test.
//!
//! Some keys are the same for all engines. All others are settings of engines, which describe, read and check them in
//! their own folders.

use std::collections::BTreeMap;
use std::fmt;

use machine::file_system::FileSystem;
use machine::measure::storage::Cache;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::applications::App;
use crate::applications::tracker::announces::Announces;
use crate::engine::Engine;
use crate::images::ImageKind;
use crate::mode::Mode;
use crate::registry::{DEFAULT, ENGINES, subject_images};
use crate::settings::{EngineSettings, OptionValue};

/// The system under test.
#[derive(Clone, Debug, Serialize)]
pub struct SubjectSection {
    /// Database engines: one set of trials each.
    pub engines: Vec<&'static dyn Engine>,
    /// What writes: one set of trials each.
    pub apps: Vec<App>,
    /// The modes of engines that have several: one set of trials each.
    #[serde(rename = "journal_modes")]
    pub modes: Vec<Mode>,
    /// Where the data is stored: one set of trials each.
    pub file_systems: Vec<FileSystem>,
    /// Number of extents into which the largest file of the live database is fragmented; not fragmented when absent.
    pub extents: Option<u64>,
    /// The protocol of announces to the tracker.
    pub announces: Announces,
    /// Images to use instead of the default ones.
    pub images: ImagesSection,
    /// State of the page cache when the backup begins.
    pub cache: Cache,
    /// The settings of the engines: one key each.
    #[serde(flatten)]
    pub settings: EngineSettings,
}

/// The keys that are not settings of an engine.
const COMMON: [&str; 8] =
    ["engines", "apps", "journal_modes", "file_systems", "extents", "announces", "images", "cache"];

impl Default for SubjectSection {
    fn default() -> Self {
        SubjectSection {
            engines: vec![DEFAULT],
            apps: vec![App::Embedded],
            modes: DEFAULT.modes().first().copied().into_iter().collect(),
            file_systems: vec![FileSystem::Disk],
            extents: None,
            announces: Announces::default(),
            images: ImagesSection::default(),
            cache: Cache::default(),
            settings: settings(&Map::new()).expect("the defaults of an engine are valid"),
        }
    }
}

impl SubjectSection {
    /// The modes that it asks for on an engine: only `None` for an engine that has none.
    pub fn modes_of(&self, engine: &dyn Engine) -> Vec<Option<Mode>> {
        if engine.modes().is_empty() {
            return vec![None];
        }
        self.modes.iter().filter(|mode| engine.modes().contains(mode)).map(|mode| Some(*mode)).collect()
    }
}

/// The settings of all engines, from the values of any of their keys.
///
/// # Errors
/// What is wrong with a value.
fn settings(given: &Map<String, Value>) -> serde_json::Result<EngineSettings> {
    let of_each = ENGINES.iter().map(|engine| {
        let keys = engine.settings(Map::new())?.values();
        let own = given.iter().filter(|(key, _)| keys.contains_key(*key));
        let own = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok((engine.name(), engine.settings(own)?))
    });
    Ok(EngineSettings::new(of_each.collect::<serde_json::Result<Vec<_>>>()?))
}

impl<'de> Deserialize<'de> for SubjectSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SubjectSection, D::Error> {
        deserializer.deserialize_map(SectionVisitor)
    }
}

/// Reads key by key, so that an error names the line and the column of its key or value.
struct SectionVisitor;

impl<'de> Visitor<'de> for SectionVisitor {
    type Value = SubjectSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the section subject")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SubjectSection, A::Error> {
        let mut section = SubjectSection::default();
        let defaults = section.settings.values();
        let known: Vec<&str> = COMMON.into_iter().chain(defaults.keys().map(String::as_str)).collect();
        let mut given = Map::new();
        while let Some(key) = map.next_key_seed(Key(&known))? {
            match key.as_str() {
                "engines" => section.engines = map.next_value()?,
                "apps" => section.apps = map.next_value()?,
                "journal_modes" => section.modes = map.next_value()?,
                "file_systems" => section.file_systems = map.next_value()?,
                "extents" => section.extents = map.next_value()?,
                "announces" => section.announces = map.next_value()?,
                "images" => section.images = map.next_value()?,
                "cache" => section.cache = map.next_value()?,
                own => {
                    let setting = Setting { key: own, default: &defaults[own] };
                    given.insert(own.to_owned(), map.next_value_seed(setting)?);
                }
            }
        }
        section.settings = settings(&given).map_err(A::Error::custom)?;
        Ok(section)
    }
}

/// One of the known keys.
struct Key<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = String::deserialize(deserializer)?;
        if self.0.contains(&key.as_str()) {
            return Ok(key);
        }
        let known: Vec<String> = self.0.iter().map(|known| format!("`{known}`")).collect();
        Err(D::Error::custom(format!("unknown field `{key}`, expected one of {}", known.join(", "))))
    }
}

/// The value of a key that belongs to engines, checked by each of them.
struct Setting<'a> {
    key: &'a str,
    default: &'a Value,
}

impl<'de> DeserializeSeed<'de> for Setting<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let value = if self.default.is_object() {
            // So that an error names the place of the option.
            let options = BTreeMap::<String, OptionValue>::deserialize(deserializer)?;
            serde_json::to_value(options).map_err(D::Error::custom)?
        } else {
            Value::deserialize(deserializer)?
        };
        let alone = Map::from_iter([(self.key.to_owned(), value.clone())]);
        settings(&alone).map_err(D::Error::custom)?;
        Ok(value)
    }
}

/// Images to use instead of the default ones, for the servers of engines and the tracker.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ImagesSection(BTreeMap<&'static str, Option<String>>);

impl Default for ImagesSection {
    fn default() -> Self {
        ImagesSection(subject_images().iter().map(|kind| (kind.name, None)).collect())
    }
}

impl ImagesSection {
    /// The reference of the image that is used for this purpose; `None` for the default.
    pub fn named(&self, kind: &ImageKind) -> Option<&str> {
        self.0.get(kind.name)?.as_deref()
    }
}

impl<'de> Deserialize<'de> for ImagesSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ImagesSection, D::Error> {
        deserializer.deserialize_map(ImagesVisitor)
    }
}

struct ImagesVisitor;

impl<'de> Visitor<'de> for ImagesVisitor {
    type Value = ImagesSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the section subject.images")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ImagesSection, A::Error> {
        let mut section = ImagesSection::default();
        let known: Vec<&str> = section.0.keys().copied().collect();
        while let Some(key) = map.next_key_seed(Key(&known))? {
            *section.0.get_mut(key.as_str()).expect("the key is known") = map.next_value()?;
        }
        Ok(section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        toml::from_str::<SubjectSection>(text).unwrap_err().to_string()
    }

    #[test]
    fn errors_have_the_place_of_what_is_wrong() {
        let errors = [
            ("engines = [\"sqlite\", \"sqlit\"]", "line 1, column 22", "unknown engine 'sqlit'"),
            ("journal_modes = [\"off\"]", "line 1, column 18", "unknown journal mode 'off'"),
            ("synchronous = \"fast\"", "line 1, column 15", "unknown variant `fast`, expected one of `off`"),
            ("[mysql_options]\nskip = true\nlog_bin = [1]", "line 3, column 11", "option must be a string"),
            ("[images]\ntools = \"x\"", "line 2, column 1", "unknown field `tools`, expected one of `"),
            ("port = 1\nsync_binlgo = 3", "line 2, column 1", "unknown field `sync_binlgo`"),
            ("port = 70000", "line 1, column 8", "integer `70000`, expected u16"),
        ];
        for (text, place, cause) in errors {
            let error = error(text);
            assert!(error.contains(&format!("at {place}")) && error.contains(cause), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_with_every_key_of_every_engine() {
        let text = "sync_binlog = 7\nsynchronous = \"off\"\nimages = { mysql = \"mine:1\" }\n\
                    mysql_options = { long_query_time = 0.5, log_bin = false }";
        let section: SubjectSection = toml::from_str(text).unwrap();
        let written = serde_json::to_value(&section).unwrap();
        for (key, value) in [
            ("/sync_binlog", Value::from(7)),
            ("/synchronous", "off".into()),
            ("/busy_timeout_ms", 5000.into()),
            ("/port", Value::Null),
            ("/images/mysql", "mine:1".into()),
            ("/images/tracker", Value::Null),
            ("/mysql_options/long_query_time", 0.5.into()),
            ("/mysql_options/log_bin", false.into()),
            ("/journal_modes/0", "wal".into()),
        ] {
            assert_eq!(written.pointer(key), Some(&value), "{key}");
        }
        let read: SubjectSection = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
    }
}
