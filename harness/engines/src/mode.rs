//! Modes of engines.

use serde::{Serialize, Serializer};

/// A mode in which an engine can run: each is one set of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The name in scenarios, ids and records.
    pub name: &'static str,
    /// True if commits only append to a log, and checkpoints change the database itself.
    pub has_log: bool,
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}
