//! Renders records for people.

pub mod answer;
pub mod comparison;
pub(crate) mod conditions;
pub mod costs;
pub(crate) mod family;
pub mod faults;
mod file;
pub mod growth;
mod html;
pub mod markdown;
pub mod number;
pub mod offsite;
pub mod plot;
pub mod published;
pub mod table;
pub mod words;

pub use file::File;
pub use html::html;
pub use markdown::markdown;

use std::path::Path;

use crate::record::Results;

/// The name of the report in Markdown.
pub const REPORT: &str = "report.md";
/// The name of the report as an interactive page.
pub const PAGE: &str = "report.html";
/// The names of all files that [`files`] may give.
pub const FILES: [&str; 6] = [REPORT, PAGE, plot::FILES[0], plot::FILES[1], plot::FILES[2], plot::FILES[3]];

/// All files of the report of a run. They belong in the same directory as its `results.json`.
pub fn files(results: &Results) -> Vec<File> {
    let report = File { name: REPORT, content: markdown(results) };
    let page = File { name: PAGE, content: html(results) };
    [report, page].into_iter().chain(plot::files(results)).collect()
}

/// Removes outdated files from the directory of a report, such as a plot that was rendered earlier, of figures that
/// are no longer in the records.
///
/// # Errors
/// The error of the file system, when a file exists and cannot be removed.
pub fn remove_outdated(directory: &Path, report: &[File]) -> std::io::Result<()> {
    let outdated = FILES.iter().filter(|name| report.iter().all(|file| file.name != **name));
    outdated.map(|name| std::fs::remove_file(directory.join(name))).try_for_each(|removed| match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::{FILES, File, REPORT, plot, remove_outdated};

    #[test]
    fn only_outdated_files_of_a_report_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        for name in [REPORT, plot::FILES[0], plot::FILES[1], "results.json"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let report = [REPORT, plot::FILES[0]].map(|name| File { name, content: String::new() });
        remove_outdated(directory.path(), &report).unwrap();
        let left = |name: &str| directory.path().join(name).exists();
        assert_eq!(FILES.into_iter().filter(|name| left(name)).count(), 2);
        assert!(left("results.json"));
    }
}
