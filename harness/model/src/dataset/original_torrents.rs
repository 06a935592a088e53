//! The torrents of a database as they were before any write.

use crate::writes::InfoHash;

/// One row of the table `torrents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// 40 hexadecimal digits.
    pub info_hash: InfoHash,
    /// Completed downloads.
    pub completed: i64,
}

/// A table that another client creates, changes and drops while a backup runs. It does not count as content.
pub const SCRATCH_TABLE: &str = "backup_drill_scratch";

/// Names of the tables that the workload writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// The torrents.
    pub torrents: &'static str,
    /// The aggregate metrics of all torrents.
    pub metrics: &'static str,
}

impl TableNames {
    /// The tracker's names.
    pub const TRACKER: TableNames = TableNames { torrents: "torrents", metrics: "torrent_aggregate_metrics" };
}

/// The torrents of a database as they were before any write.
pub trait OriginalTorrents: Send + Sync {
    /// The tables that contain them.
    fn tables(&self) -> TableNames {
        TableNames::TRACKER
    }

    /// Number of torrents: their ids are 1 to this.
    fn torrents(&self) -> u64;

    /// The torrent with this id.
    fn torrent(&self, id: u64) -> Torrent;
}
