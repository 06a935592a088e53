//! Generated databases.

use serde::{Deserialize, Serialize};

use crate::workload::model::InfoHash;

/// What names a generated database: the same specification gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// Name in the registry of profiles.
    pub profile: String,
    /// Size of the database file asked for; the size reached is within 2 % of it.
    pub target_bytes: u64,
    /// What the content follows from.
    pub seed: u64,
}

/// One row of the table `torrents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// 40 hexadecimal digits.
    pub info_hash: InfoHash,
    /// Completed downloads.
    pub completed: i64,
}

/// The torrents of a generated database as they were before any write.
pub trait Origin: Send + Sync {
    /// Number of torrents: their ids are 1 to this.
    fn torrents(&self) -> u64;

    /// The torrent with this id.
    fn torrent(&self, id: u64) -> Torrent;
}
