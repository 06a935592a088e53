//! Check 1: what the engine says, and whether the indexes hold what the tables do.

use serde::{Deserialize, Serialize};

use super::digest::RowsDigest;
use super::engine::Unreadable;
use super::findings::Findings;

/// How thoroughly the engine checks a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// SQLite's `PRAGMA integrity_check`, which looks up every row in every index and takes many times a read of the
    /// file; MySQL's `CHECK TABLE ... EXTENDED`.
    Full,
    /// SQLite's `PRAGMA quick_check`, which takes about one read of the file; MySQL's `CHECK TABLE ... QUICK`. Rows and
    /// index entries are still held against each other, by digests.
    Quick,
}

/// What an index holds, and what its table says it has to hold.
pub(super) struct IndexEntries {
    pub(super) index: String,
    /// Entries of the index.
    pub(super) entries: Result<RowsDigest, Unreadable>,
    /// The same columns of the table; `None` when another pass over the table reads them.
    pub(super) rows: Option<Result<RowsDigest, Unreadable>>,
}

/// Holds the indexes against their tables. `torrents` is what an index over the hashes of `torrents` has to hold.
pub(super) fn judge_indexes(
    indexes: &[IndexEntries],
    torrents: Option<RowsDigest>,
    integrity: &mut Findings,
) {
    for IndexEntries { index, entries, rows } in indexes {
        let rows = match rows {
            Some(Ok(rows)) => Some(*rows),
            Some(Err(unreadable)) => {
                judge_unreadable(unreadable, integrity);
                None
            }
            None => torrents,
        };
        match (entries, rows) {
            (Err(unreadable), _) => judge_unreadable(unreadable, integrity),
            (Ok(entries), Some(rows)) if *entries != rows => integrity.wrong(|| {
                let (held, due) = (entries.rows, rows.rows);
                format!(
                    "index {index} holds {held} entries and its table {due} rows, and they are not the same"
                )
            }),
            (Ok(_), Some(_)) => {}
            (Ok(_), None) => integrity.cannot(format!("index {index}: its table could not be read")),
        }
    }
}

/// A file that the engine calls malformed is damaged; anything else only kept the checker from looking.
pub(super) fn judge_unreadable(unreadable: &Unreadable, integrity: &mut Findings) {
    if unreadable.malformed {
        integrity.wrong(|| unreadable.reason.clone());
    } else {
        integrity.cannot(&unreadable.reason);
    }
}
