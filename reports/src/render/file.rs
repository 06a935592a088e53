//! A file of a report.

/// A file of a report.
pub struct File {
    /// Its name in the directory of the results.
    pub name: &'static str,
    /// Its content.
    pub content: String,
}
