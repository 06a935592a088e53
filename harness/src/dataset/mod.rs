//! Generated databases.
//!
//! [`generate()`] writes the database of a [`DatasetSpec`] for SQLite, and [`mysql::load`] loads the same rows into
//! MySQL. The [`cache`] keeps both, and [`origin()`] computes their content without reading them. With [`own`], the
//! user's own database replaces a generated one.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::workload::model::InfoHash;
use profile::Shape;
use sqlite_pages::Database;

pub use generate::generate;

pub mod cache;
mod generate;
mod hashes;
mod heavy_tail;
pub mod mysql;
pub mod own;
pub(crate) mod permutation;
pub mod profile;
mod rows;
mod sqlite_pages;
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
    if spec.profile == own::PROFILE {
        return Ok(own::origin(spec.seed));
    }
    Ok(shape(spec)?.origin)
}

/// The size of the database that [`generate()`] would write.
///
/// # Errors
///
/// As [`origin`].
pub fn predicted(spec: &DatasetSpec) -> Result<Generated> {
    Ok(plan(spec)?.1)
}

/// The pages of the database with this specification, and its size.
fn plan(spec: &DatasetSpec) -> Result<(Database, Generated)> {
    let Shape { tables, origin } = shape(spec)?;
    let database = Database::new(tables, spec.target_bytes);
    let generated = Generated { bytes: database.bytes(), rows: database.rows(), torrents: origin.torrents() };
    Ok((database, generated))
}

fn shape(spec: &DatasetSpec) -> Result<Shape> {
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

#[cfg(test)]
mod tests;
