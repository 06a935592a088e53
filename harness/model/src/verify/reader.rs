//! What the checks ask of an engine: everything that they read goes through here.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;

use super::condition::Condition;
use super::content::Tables;
use super::findings::Findings;
use super::integrity::{IndexEntries, Integrity};
use super::torrents::RawTorrent;

/// Why something could not be read.
#[derive(Clone, Debug)]
pub(super) struct Unreadable {
    /// What was read and what came of it.
    pub(super) reason: String,
    /// The engine calls the file malformed: no obstacle to the checker, but damage.
    pub(super) malformed: bool,
}

impl Unreadable {
    /// The checker itself broke off.
    pub(super) fn crashed(what: &str) -> Unreadable {
        Unreadable { reason: format!("{what}: the checker crashed"), malformed: false }
    }
}

/// A database that can be read without being changed. Each call has a connection of its own, so that calls can run
/// side by side.
pub(super) trait Engine: Sync {
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

/// How much work an engine's own check is.
pub(super) struct Effort {
    /// Steps that the engine counts.
    pub(super) steps: u64,
    /// Part of the time of a whole verification, as measured, from 0 to 1.
    pub(super) share_of_time: f64,
}
