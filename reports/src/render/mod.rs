//! Records as people read them.

pub mod answer;
pub mod comparison;
pub(crate) mod conditions;
pub(crate) mod family;
pub mod markdown;
pub mod number;
pub mod published;
pub mod table;
pub mod words;

pub use markdown::markdown;

use crate::record::Results;

/// The report that people read first.
pub const REPORT: &str = "report.md";
/// The names of all files that [`files`] gives.
pub const FILES: [&str; 1] = [REPORT];

/// A file of a report.
pub struct File {
    /// Its name in the directory of the results.
    pub name: &'static str,
    /// What is in it.
    pub content: String,
}

/// All files of the report of a run, which lie beside its `results.json`.
pub fn files(results: &Results) -> Vec<File> {
    vec![File { name: REPORT, content: markdown(results) }]
}
