//! A database that was restored while the application ran.

use engines::subject::Subject;

/// A database that was restored while the application ran.
pub(super) struct LiveRestore {
    /// The subject on the restored data.
    pub(super) subject: Subject,
    /// When the restore began.
    pub(super) at_ns: u64,
    pub(super) seconds: f64,
}

/// The name of the directory of one of these restores; numbers count from 1.
pub(super) fn place_of(number: u32) -> String {
    format!("live-restore-{number}")
}

/// The name of one of these restores in a reason.
pub(super) fn name_of(number: u32, all: usize) -> String {
    format!("restore {number} of {all} while the application ran: ")
}
