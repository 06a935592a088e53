//! Why a part of a database could not be read.

/// Why something could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// What was read, and the error.
    pub reason: String,
    /// True if the engine calls the file malformed: this is damage, not a problem of the checker.
    pub malformed: bool,
}

impl Unreadable {
    /// The checker itself crashed.
    pub fn crashed(what: &str) -> Unreadable {
        Unreadable { reason: format!("{what}: the checker crashed"), malformed: false }
    }
}
