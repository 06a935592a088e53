//! What a generated SQLite database comes to, before it is written.

use machine::error::Result;
use model::dataset::profile::Shape;
use model::dataset::{DatasetSpec, Generated, shape};

use super::pages::Database;

/// What [`generate`](super::generate::generate()) will write, without writing it.
///
/// # Errors
///
/// As [`origin`](model::dataset::origin()).
pub fn predicted(spec: &DatasetSpec) -> Result<Generated> {
    Ok(plan(spec)?.1)
}

/// Every page that the specification asks for, and what they come to.
pub(crate) fn plan(spec: &DatasetSpec) -> Result<(Database, Generated)> {
    let Shape { tables, origin } = shape(spec)?;
    let database = Database::new(tables, spec.target_bytes);
    let generated = Generated { bytes: database.bytes(), rows: database.rows(), torrents: origin.torrents() };
    Ok((database, generated))
}

#[cfg(test)]
mod tests;
