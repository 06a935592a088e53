//! Reads `results.json`, with errors that say what to do. Files with an older schema are converted to the current
//! one.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::record::{Results, SCHEMA};

/// Why a results file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file does not exist.
    #[error("no results file at {}", path.display())]
    Missing {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The file exists and could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file was read and is not a results file of this version.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        source: ParseError,
    },
}

/// Why a text is not a results file of this version.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is not JSON, or it ends too early.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON that does not state its schema.
    #[error("not a results file: it does not state a schema (this version reads {SCHEMA})")]
    NoSchema,
    /// It has another version of the schema.
    #[error("schema {found}, but this version reads {SCHEMA}: use the version that wrote it")]
    OtherSchema {
        /// The schema that the text states.
        found: String,
    },
    /// It states the right schema and does not conform to it.
    #[error("not a valid {SCHEMA} document: {0}")]
    Invalid(serde_json::Error),
}

/// The part that every version of the schema has. It is read first, to determine the version.
#[derive(Deserialize)]
struct Header {
    schema: String,
}

impl Results {
    /// Loads a run from a `results.json`.
    pub fn load(path: &Path) -> Result<Results, LoadError> {
        let path_buf = || path.to_path_buf();
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LoadError::Missing { path: path_buf() },
            _ => LoadError::Read { path: path_buf(), source },
        })?;
        Results::from_json(&text).map_err(|source| LoadError::Content { path: path_buf(), source })
    }

    /// Reads a run from the text of a `results.json`.
    pub fn from_json(text: &str) -> Result<Results, ParseError> {
        // Check the syntax of the whole text first, so that a truncated file is reported as such, whatever its
        // header.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(ParseError::NotJson)?;
        let header: Header = serde_json::from_str(text).map_err(|_| ParseError::NoSchema)?;
        if header.schema == "drill/1" {
            let mut document: Value = serde_json::from_str(text).map_err(ParseError::NotJson)?;
            upgrade_from_1(&mut document);
            return serde_json::from_value(document).map_err(ParseError::Invalid);
        }
        if header.schema != SCHEMA {
            return Err(ParseError::OtherSchema { found: header.schema });
        }
        serde_json::from_str(text).map_err(ParseError::Invalid)
    }
}

/// Converts a `drill/1` document to the current schema. Values that were not measured then become null. Blocked time
/// was called downtime then. The kind of a strategy is derived from the text of its promise.
fn upgrade_from_1(document: &mut Value) {
    document["schema"] = SCHEMA.into();
    let trials = document["trials"].as_array_mut().into_iter().flatten();
    // What is not an object is refused when the converted document is read.
    for trial in trials.filter_map(Value::as_object_mut) {
        let promise = trial.get("promise").and_then(Value::as_str).unwrap_or_default();
        trial.insert("kind".into(), kind_in_1(promise).into());
        let Some(impact) = trial.get_mut("impact").and_then(Value::as_object_mut) else { continue };
        for (then, now) in
            [("downtime_seconds", "blocked_seconds"), ("longest_stall_seconds", "longest_blocked_seconds")]
        {
            if let Some(value) = impact.remove(then) {
                impact.insert(now.into(), value);
            }
        }
    }
}

/// The kind of strategy that the promise in a `drill/1` document implies, if any. These texts are those of old
/// records.
fn kind_in_1(promise: &str) -> Option<&'static str> {
    let kinds = [
        ("writers stand still meanwhile", "cold"),
        ("before the disaster", "continuous"),
        ("writers wait for what is held", "snapshot"),
    ];
    kinds.into_iter().find_map(|(words, kind)| promise.contains(words).then_some(kind))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::LoadError;
    use crate::example;
    use crate::record::Results;

    fn error(text: &str) -> String {
        Results::from_json(text).unwrap_err().to_string()
    }

    #[test]
    fn written_results_are_read_back_unchanged() {
        let results = example::all_verdicts();
        let text = serde_json::to_string_pretty(&results).unwrap();
        assert_eq!(Results::from_json(&text).unwrap(), results);
    }

    #[test]
    fn a_file_with_the_first_schema_is_converted_to_the_current_names() {
        let then = r#"{"schema": "drill/1", "trials": [
            {"impact": {"downtime_seconds": 5.5, "longest_stall_seconds": 5.25},
             "promise": "consistent; writers stand still meanwhile"}, {"impact": null}]}"#;
        let mut document = serde_json::from_str(then).unwrap();
        super::upgrade_from_1(&mut document);
        assert_eq!(document["schema"], super::SCHEMA);
        let impact = serde_json::json!({"blocked_seconds": 5.5, "longest_blocked_seconds": 5.25});
        assert_eq!(document["trials"][0]["impact"], impact);
        assert_eq!(document["trials"][0]["kind"], "cold");
        assert_eq!(document["trials"][1]["kind"], serde_json::Value::Null);
    }

    #[test]
    fn all_results_that_were_ever_published_are_read_and_rendered() {
        let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("published");
        let mut read = 0;
        for directory in std::fs::read_dir(published).unwrap().flatten().filter(|entry| entry.path().is_dir())
        {
            let results = Results::load(&directory.path().join("results.json")).unwrap();
            for file in crate::render::files(&results) {
                assert!(!file.content.is_empty(), "{}: {}", directory.path().display(), file.name);
            }
            read += 1;
        }
        assert!(read >= 5, "{read}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = Results::load(Path::new("no/such/results.json")).unwrap_err();
        assert!(matches!(missing, LoadError::Missing { .. }));
        assert_eq!(missing.to_string(), "no results file at no/such/results.json");
    }

    #[test]
    fn a_truncated_file_is_not_json_and_the_error_names_the_line() {
        let text = serde_json::to_string_pretty(&example::all_verdicts()).unwrap();
        let cut = &text[..text.len() / 2];
        let line = cut.lines().count();
        let found = error(cut);
        assert!(found.starts_with("not JSON: EOF") && found.contains(&format!("at line {line} ")), "{found}");
    }

    #[test]
    fn another_schema_is_named_with_what_this_version_reads() {
        assert_eq!(
            error(r#"{"schema": "drill/7", "runs": []}"#),
            "schema drill/7, but this version reads drill/2: use the version that wrote it"
        );
        let no_schema = "not a results file: it does not state a schema (this version reads drill/2)";
        assert_eq!(error("{}"), no_schema);
        assert_eq!(error("[1, 2]"), no_schema);
    }

    #[test]
    fn a_document_that_does_not_follow_its_schema_names_the_line() {
        let found = error("{\"schema\": \"drill/2\",\n\"trials\": 3}");
        assert!(
            found.starts_with("not a valid drill/2 document: ") && found.contains("at line 2 "),
            "{found}"
        );
    }

    /// A value that may stand anywhere in a file that another program wrote.
    fn foreign() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            prop_oneof![Just(-1.0), Just(0.0), Just(1e300), Just(1e-300)].prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,9}".prop_map(Value::from),
            Just(serde_json::json!([1])),
            Just(serde_json::json!({})),
        ]
    }

    /// The value that is `number` steps from here, in the order of the text, or how many steps are left.
    fn nth(value: &mut Value, number: usize) -> Result<&mut Value, usize> {
        let Some(mut left) = number.checked_sub(1) else { return Ok(value) };
        let children: Vec<&mut Value> = match value {
            Value::Array(values) => values.iter_mut().collect(),
            Value::Object(fields) => fields.values_mut().collect(),
            _ => Vec::new(),
        };
        for child in children {
            match nth(child, left) {
                Ok(found) => return Ok(found),
                Err(fewer) => left = fewer,
            }
        }
        Err(left)
    }

    proptest! {
        #[test]
        fn a_file_with_foreign_values_is_refused_or_rendered(
            replaced in prop::collection::vec((0..4_000usize, foreign()), 0..4), is_old: bool,
        ) {
            let mut document = serde_json::to_value(example::all_verdicts()).unwrap();
            if is_old {
                document["schema"] = "drill/1".into();
            }
            for (number, value) in replaced {
                if let Ok(place) = nth(&mut document, number) {
                    *place = value;
                }
            }
            if let Ok(results) = Results::from_json(&document.to_string()) {
                crate::render::files(&results);
            }
        }

        #[test]
        fn any_text_is_refused_with_an_error(text in "\\PC*", cut: usize) {
            prop_assert!(Results::from_json(&text).is_err());
            let whole = serde_json::to_vec(&example::all_verdicts()).unwrap();
            let cut = &whole[..cut % whole.len()];
            prop_assert!(Results::from_json(&String::from_utf8_lossy(cut)).is_err());
        }
    }
}
