//! A model of how Torrust Tracker 3.0.0 stores its counts in the database.

use std::collections::HashMap;

use model::dataset::OriginalTorrents;
use model::writes::{InfoHash, Key, Model};
use rusqlite::Connection;

use crate::fixture::text;

/// The counts of a tracker since it was started: it never reads a count from the database.
#[derive(Default)]
pub struct Tracker {
    counted: HashMap<InfoHash, i64>,
}

impl Tracker {
    /// A peer has announced that it has started a download.
    pub fn started(&self, connection: &Connection, info_hash: &InfoHash) {
        store(connection, info_hash, self.counted.get(info_hash).copied().unwrap_or_default());
    }

    /// The peer has announced that it has completed it.
    pub fn completed(&mut self, connection: &Connection, info_hash: &InfoHash) {
        let count = self.counted.entry(*info_hash).or_default();
        *count += 1;
        store(connection, info_hash, *count);
    }
}

fn store(connection: &Connection, info_hash: &InfoHash, completed: i64) {
    let upsert = "INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2)
                  ON CONFLICT(info_hash) DO UPDATE SET completed = ?2";
    connection.prepare_cached(upsert).unwrap().execute((text(info_hash), completed)).unwrap();
}

/// The torrent that a write is counted for.
pub fn counted_hash(model: &Model, original: &dyn OriginalTorrents, writer: u32, index: u64) -> InfoHash {
    match model.write(writer, index).stamped[..] {
        [Key::Dataset(id)] => original.torrent(id).info_hash,
        [Key::New { writer, index, row }] => model.new_info_hash(writer, index, row),
        _ => panic!("a write is counted for one torrent"),
    }
}
