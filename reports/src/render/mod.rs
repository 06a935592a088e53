//! Records as people read them.

pub mod comparison;
pub(crate) mod conditions;
pub(crate) mod family;
mod html;
pub mod markdown;
pub mod number;
pub mod table;
pub mod words;

pub use html::html;
pub use markdown::markdown;

use crate::record::Results;

/// The report that people read first.
pub const REPORT: &str = "report.md";
/// The report that people decide by.
pub const PAGE: &str = "report.html";
/// The names of all files that [`files`] gives.
pub const FILES: [&str; 2] = [REPORT, PAGE];

/// A file of a report.
pub struct File {
    /// Its name in the directory of the results.
    pub name: &'static str,
    /// What is in it.
    pub content: String,
}

/// All files of the report of a run, which lie beside its `results.json`.
pub fn files(results: &Results) -> Vec<File> {
    vec![
        File { name: REPORT, content: markdown(results) },
        File { name: PAGE, content: html(results, sizing(results).as_ref()) },
    ]
}

/// The sizing model of a run, which answers for sizes and rates that were not tried.
fn sizing(_results: &Results) -> Option<serde_json::Value> {
    None
}
