//! Generated databases: what is in them, as a function of a specification.
//!
//! [`origin()`] tells what a database holds without reading it, and [`shape`] what its tables are, for engines to write
//! them. A database of the user's own takes the place of a generated one in [`renamed`].

use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::writes::InfoHash;
use profile::Shape;

mod hashes;
mod heavy_tail;
pub(crate) mod permutation;
pub mod profile;
pub mod renamed;
pub mod rows;
mod torrust_demo;

/// The smallest database that can be generated, in bytes: below it, the pages that every database has are larger than
/// its content.
pub const TARGET_BYTES_MIN: u64 = 1 << 20;
/// The largest database that can be generated, in bytes.
pub const TARGET_BYTES_MAX: u64 = 1 << 40;

/// Increased when the same specification results in other bytes than before.
pub const FORMAT_VERSION: u32 = 1;

/// The specification of a generated database: the same specification always results in the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// Name in the registry of profiles.
    pub profile: String,
    /// Target size of the database file; the actual size is within 2 % of it.
    pub target_bytes: u64,
    /// Random seed of the content.
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
pub trait Origin: Send + Sync {
    /// The tables that contain them.
    fn tables(&self) -> TableNames {
        TableNames::TRACKER
    }

    /// Number of torrents: their ids are 1 to this.
    fn torrents(&self) -> u64;

    /// The torrent with this id.
    fn torrent(&self, id: u64) -> Torrent;
}

/// The size of a generated database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Rows in all tables.
    pub rows: u64,
    /// Rows in the table `torrents`.
    pub torrents: u64,
}

/// The torrents of the database with this specification. Each torrent is computed on demand.
///
/// # Errors
///
/// [`Error::Input`] for a profile that does not exist and for a size out of bounds.
pub fn origin(spec: &DatasetSpec) -> Result<Box<dyn Origin>> {
    if spec.profile == renamed::PROFILE {
        return Ok(renamed::origin(spec.seed));
    }
    Ok(shape(spec)?.origin)
}

/// The tables and torrents of the database with this specification.
///
/// # Errors
///
/// As [`origin()`].
pub fn shape(spec: &DatasetSpec) -> Result<Shape> {
    let profile = profile::find(&spec.profile)?;
    let size = spec.target_bytes;
    if !(TARGET_BYTES_MIN..=TARGET_BYTES_MAX).contains(&size) {
        return Err(Error::Input(format!(
            "a dataset of {size} bytes cannot be generated: target_bytes must be from {TARGET_BYTES_MIN} (1 MiB) \
             to {TARGET_BYTES_MAX} (1 TiB)"
        )));
    }
    Ok((profile.shape)(size, spec.seed))
}
