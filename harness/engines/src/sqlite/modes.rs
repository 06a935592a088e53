//! SQLite's journal modes.

use crate::mode::Mode;

/// Write-ahead log.
pub const WAL: Mode = Mode { name: "wal", has_log: true };
/// Rollback journal, deleted at each commit: SQLite's default, which the tracker does not change.
pub const DELETE: Mode = Mode { name: "delete", has_log: false };
