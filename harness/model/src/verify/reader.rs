//! The interface between the checks and an engine: everything that the checks read goes through it.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;

use reports::record::Level;

use super::condition::Condition;
use super::content::Tables;
use super::digest::Field;
use super::findings::Findings;
use super::integrity::IndexEntries;
pub use super::unreadable::Unreadable;
use crate::dataset::TableNames;

/// A database that can be read without being changed. Each call uses its own connection, so that calls can run
/// concurrently.
pub trait DatabaseReader: Sync {
    /// Checks the files of the database before anything is read. True if there is something to read.
    fn look(&self, integrity: &mut Findings) -> bool;

    /// Refuses a source if a part of it would be ignored, such as a leftover journal.
    fn require_settled(&self) -> anyhow::Result<()>;

    /// How much work the engine's own check of `rows` rows is.
    fn effort(&self, integrity: Level, rows: u64) -> Effort;

    /// Runs the engine's own checks. Counts their steps in `steps`.
    fn check(&self, integrity: Level, steps: &AtomicU64) -> Result<Condition, Unreadable>;

    /// Reads the schema and every table except that of the torrents.
    fn tables(&self) -> Result<Tables, Unreadable>;

    /// True when two statements of a schema mean the same to the engine.
    fn have_same_meaning(&self, one: &str, other: &str) -> bool;

    /// True when the sequence of the torrents increases by one for each torrent that a committed write inserts or
    /// stamps, and for no other reason.
    fn has_exact_sequence(&self) -> bool;

    /// Reads every index that contains plain columns of all rows of its table.
    fn indexes(&self) -> Result<Vec<IndexEntries>, Unreadable>;

    /// Calls `visit` with every row of the torrents with an id in `ids`, in the order of the ids, until it returns
    /// false. Counts the rows in `rows_read`.
    fn torrents(
        &self,
        ids: &RangeInclusive<i64>,
        rows_read: &AtomicU64,
        visit: &mut dyn FnMut(&RawTorrent<'_>) -> bool,
    ) -> Result<(), Unreadable>;
}

/// One row in the engine's memory: nothing is copied.
pub struct RawTorrent<'row> {
    /// The id.
    pub id: Field<'row>,
    /// The info-hash, in 40 hexadecimal digits.
    pub info_hash: Field<'row>,
    /// Completed downloads.
    pub completed: Field<'row>,
}

/// Where a database is, as the engine knows it.
pub trait Location: std::fmt::Display {
    /// A reader of the database. `names` are the tables that the workload writes to.
    fn reader(&self, names: TableNames) -> Box<dyn DatabaseReader + '_>;
}

/// How much work an engine's own check is.
pub struct Effort {
    /// Steps that the engine counts.
    pub steps: u64,
    /// Measured share of the time of a whole verification, from 0 to 1.
    pub share_of_time: f64,
}
