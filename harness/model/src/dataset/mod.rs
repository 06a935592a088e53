//! Generated databases: what is in them, as a function of a specification.
//!
//! [`original_torrents()`] tells what a database holds without reading it, and [`shape`] what its tables are, for engines to write
//! them. A database of the user's own takes the place of a generated one in [`own_database`].

use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

mod hashes;
mod heavy_tail;
mod original_torrents;
pub mod own_database;
pub(crate) mod permutation;
pub mod profile;
mod registry;
pub mod rows;
mod torrust_demo;

pub use original_torrents::{OriginalTorrents, SCRATCH_TABLE, TableNames, Torrent};
use profile::Shape;
pub use registry::PROFILES;

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
pub fn original_torrents(spec: &DatasetSpec) -> Result<Box<dyn OriginalTorrents>> {
    if spec.profile == own_database::PROFILE {
        return Ok(own_database::original_torrents(spec.seed));
    }
    Ok(shape(spec)?.original)
}

/// The tables and torrents of the database with this specification.
///
/// # Errors
///
/// As [`original_torrents()`].
pub fn shape(spec: &DatasetSpec) -> Result<Shape> {
    let profile = registry::find(&spec.profile)?;
    let size = spec.target_bytes;
    if !(TARGET_BYTES_MIN..=TARGET_BYTES_MAX).contains(&size) {
        return Err(Error::Input(format!(
            "a dataset of {size} bytes cannot be generated: target_bytes must be from {TARGET_BYTES_MIN} (1 MiB) \
             to {TARGET_BYTES_MAX} (1 TiB)"
        )));
    }
    Ok((profile.shape)(size, spec.seed))
}
