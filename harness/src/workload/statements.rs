//! A write as SQL on SQLite, with the tracker's schema and its statement.

use rusqlite::{CachedStatement, Connection, params};

use crate::dataset::Origin;
use crate::workload::model::{InfoHash, Key, Model, Together, stamp};

/// The tracker's own statement: enters a torrent, or sets its completed downloads.
pub(super) const UPSERT: &str = "INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2) \
                                 ON CONFLICT(info_hash) DO UPDATE SET completed = ?2";
const RAISE_METRIC: &str = "UPDATE torrent_aggregate_metrics SET value = value + 1 \
                            WHERE metric_name = 'torrents_downloads_total'";
const MOVE: &str = "UPDATE torrents SET completed = completed + ?2 WHERE info_hash = ?1";

/// The prepared statements of one connection.
pub struct Statements<'a> {
    begin: CachedStatement<'a>,
    upsert: CachedStatement<'a>,
    raise_metric: CachedStatement<'a>,
    move_completions: CachedStatement<'a>,
    commit: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    /// Prepares all statements.
    ///
    /// # Errors
    /// When the database lacks a table.
    pub fn prepare(connection: &'a Connection) -> rusqlite::Result<Statements<'a>> {
        Ok(Statements {
            begin: connection.prepare_cached("BEGIN IMMEDIATE")?,
            upsert: connection.prepare_cached(UPSERT)?,
            raise_metric: connection.prepare_cached(RAISE_METRIC)?,
            move_completions: connection.prepare_cached(MOVE)?,
            commit: connection.prepare_cached("COMMIT")?,
        })
    }

    /// Begins a transaction and makes the changes of one write.
    ///
    /// # Errors
    /// When the database is locked, or refuses. The transaction may be open then.
    pub fn change(
        &mut self,
        model: &Model,
        origin: &dyn Origin,
        writer: u32,
        index: u64,
    ) -> rusqlite::Result<()> {
        let write = model.write(writer, index);
        self.begin.execute([])?;
        for key in &write.stamped {
            let hash = match *key {
                Key::Dataset(id) => origin.torrent(id).info_hash,
                Key::New { writer, index, row } => model.new_info_hash(writer, index, row),
            };
            self.upsert.execute(params![text(&hash), stamp(index)])?;
        }
        match write.together {
            Together::Nothing => {}
            Together::Metric => {
                self.raise_metric.execute([])?;
            }
            Together::Transfer { from, to, amount } => {
                for (id, change) in [(from, -amount), (to, amount)] {
                    let hash = origin.torrent(id).info_hash;
                    self.move_completions.execute(params![text(&hash), change])?;
                }
            }
        }
        Ok(())
    }

    /// Commits what was changed.
    ///
    /// # Errors
    /// When the database is locked (the transaction stays open), or refuses.
    pub fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(|_| ())
    }
}

pub(super) fn text(info_hash: &InfoHash) -> &str {
    std::str::from_utf8(info_hash).expect("hexadecimal digits are ASCII")
}
