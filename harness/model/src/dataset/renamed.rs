//! The torrents that are added to a database of the user's own.

use super::{Origin, TableNames, Torrent, torrust_demo};

/// What stands for the name of a profile where the database is the user's own.
pub const PROFILE: &str = "own-database";

/// Names that no other schema has.
pub const TABLES: TableNames =
    TableNames { torrents: "backup_drill_torrents", metrics: "backup_drill_metrics" };
/// The added tables hold as many torrents as the demo has at this size: enough for many writers, and soon added.
const DEMO_BYTES: u64 = 4 << 20;

/// The torrents of the demo in tables with other names.
struct Renamed(Box<dyn Origin>);

impl Origin for Renamed {
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

/// The torrents that are added.
pub fn origin(seed: u64) -> Box<dyn Origin> {
    Box::new(Renamed((torrust_demo::PROFILE.shape)(DEMO_BYTES, seed).origin))
}
