//! The torrents that are added to a database of the user's own.

use super::original_torrents::{OriginalTorrents, TableNames, Torrent};
use super::torrust_demo;

/// The name used as the profile of the user's own database.
pub const PROFILE: &str = "own-database";

/// Names that are not expected in any other schema.
pub const TABLES: TableNames =
    TableNames { torrents: "backup_drill_torrents", metrics: "backup_drill_metrics" };
/// The added tables have as many torrents as the demo at this size: enough for many writers, and quick to add.
const DEMO_BYTES: u64 = 4 << 20;

/// The torrents of the demo in tables with other names.
struct OwnDatabase(Box<dyn OriginalTorrents>);

impl OriginalTorrents for OwnDatabase {
    fn tables(&self) -> TableNames {
        TABLES
    }

    fn torrents(&self) -> u64 {
        self.0.torrents()
    }

    fn torrent(&self, id: u64) -> Torrent {
        self.0.torrent(id)
    }
}

/// The torrents of the added tables.
pub fn original_torrents(seed: u64) -> Box<dyn OriginalTorrents> {
    Box::new(OwnDatabase((torrust_demo::PROFILE.shape)(DEMO_BYTES, seed).original))
}
