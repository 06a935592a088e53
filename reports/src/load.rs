//! Reading `results.json`, with errors that say what to do.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::record::{Results, SCHEMA};

/// Why a results file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file.
    #[error("no results file at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there and could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
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
    /// It is no JSON at all, or it ends too early.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON that does not say which schema it follows.
    #[error("no results file: it names no schema (this version reads {SCHEMA})")]
    NoSchema,
    /// It follows another version of the schema.
    #[error("schema {found}, but this version reads {SCHEMA}: use the version that wrote it")]
    OtherSchema {
        /// The schema that the text names.
        found: String,
    },
    /// It names the right schema and does not follow it.
    #[error("not a valid {SCHEMA} document: {0}")]
    Invalid(serde_json::Error),
}

/// The part that every version of the schema has: what the version is judged by before anything else.
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
        // Syntax first, over the whole text: a file that was cut off is to be called that, whatever its header.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(ParseError::NotJson)?;
        let header: Header = serde_json::from_str(text).map_err(|_| ParseError::NoSchema)?;
        if header.schema != SCHEMA {
            return Err(ParseError::OtherSchema { found: header.schema });
        }
        serde_json::from_str(text).map_err(ParseError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::LoadError;
    use crate::example;
    use crate::record::Results;

    fn error(text: &str) -> String {
        Results::from_json(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let results = example::all_verdicts();
        let text = serde_json::to_string_pretty(&results).unwrap();
        assert_eq!(Results::from_json(&text).unwrap(), results);
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = Results::load(Path::new("no/such/results.json")).unwrap_err();
        assert!(matches!(missing, LoadError::Missing { .. }));
        assert_eq!(missing.to_string(), "no results file at no/such/results.json");
    }

    #[test]
    fn a_file_that_is_cut_off_is_not_json_and_names_the_line() {
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
            "schema drill/7, but this version reads drill/1: use the version that wrote it"
        );
        let no_schema = "no results file: it names no schema (this version reads drill/1)";
        assert_eq!(error("{}"), no_schema);
        assert_eq!(error("[1, 2]"), no_schema);
    }

    #[test]
    fn a_document_that_does_not_follow_its_schema_names_the_line() {
        let found = error("{\"schema\": \"drill/1\",\n\"trials\": 3}");
        assert!(
            found.starts_with("not a valid drill/1 document: ") && found.contains("at line 2 "),
            "{found}"
        );
    }
}
