//! What the checks ask of an engine: everything that they read goes through here.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;

use super::condition::Condition;
use super::content::Tables;
use super::digest::Field;
use super::findings::Findings;
use super::integrity::{IndexEntries, Integrity};
use crate::dataset::TableNames;

/// Why something could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// What was read and what came of it.
    pub reason: String,
    /// The engine calls the file malformed: no obstacle to the checker, but damage.
    pub malformed: bool,
}

impl Unreadable {
    /// The checker itself broke off.
    pub fn crashed(what: &str) -> Unreadable {
        Unreadable { reason: format!("{what}: the checker crashed"), malformed: false }
    }
}

/// A database that can be read without being changed. Each call has a connection of its own, so that calls can run
/// side by side.
pub trait DatabaseReader: Sync {
    /// Looks at what holds the database before anything is read. Says whether there is something to read.
    fn look(&self, integrity: &mut Findings) -> bool;

    /// Refuses a source of which a part would be passed over.
    fn require_settled(&self) -> anyhow::Result<()>;

    /// What the engine's own check of `rows` rows comes to.
    fn effort(&self, integrity: Integrity, rows: u64) -> Effort;

    /// Runs the engine's own checks. Counts their steps in `steps`.
    fn check(&self, integrity: Integrity, steps: &AtomicU64) -> Result<Condition, Unreadable>;

    /// Reads the schema and every table but that of the torrents.
    fn tables(&self) -> Result<Tables, Unreadable>;

    /// True when the engine makes the same of two statements of a schema.
    fn have_same_meaning(&self, one: &str, other: &str) -> bool;

    /// True when the sequence of the torrents rises by one with each torrent that a committed write enters or stamps, and
    /// by nothing else.
    fn has_exact_sequence(&self) -> bool;

    /// Reads every index that holds plain columns of all rows of its table.
    fn indexes(&self) -> Result<Vec<IndexEntries>, Unreadable>;

    /// Hands every row of the torrents with an id in `ids`, in the order of the ids, to `visit`, until it returns
    /// false. Counts the rows in `rows_read`.
    fn torrents(
        &self,
        ids: &RangeInclusive<i64>,
        rows_read: &AtomicU64,
        visit: &mut dyn FnMut(&RawTorrent<'_>) -> bool,
    ) -> Result<(), Unreadable>;
}

/// One row as the engine holds it: nothing is copied.
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
    /// Part of the time of a whole verification, as measured, from 0 to 1.
    pub share_of_time: f64,
}
