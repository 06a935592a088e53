//! The size of a generated SQLite database, before it is written.

use machine::error::Result;
use model::dataset::profile::Shape;
use model::dataset::{DatasetSpec, Generated, shape};

use super::pages::DatabasePages;

/// What [`generate`](super::generate::generate()) would write: its size.
///
/// # Errors
///
/// As [`original_torrents`](model::dataset::original_torrents()).
pub fn predicted(spec: &DatasetSpec) -> Result<Generated> {
    Ok(plan(spec)?.1)
}

/// The pages of the database with this specification, and its size.
pub(crate) fn plan(spec: &DatasetSpec) -> Result<(DatabasePages, Generated)> {
    let Shape { tables, original } = shape(spec)?;
    let database = DatabasePages::new(tables, spec.target_bytes);
    let generated =
        Generated { bytes: database.bytes(), rows: database.rows(), torrents: original.torrents() };
    Ok((database, generated))
}

#[cfg(test)]
mod tests;
