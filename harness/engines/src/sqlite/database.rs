//! SQLite databases that nothing writes to: for the verifier, and as the source of trials.

use std::path::Path;
use std::sync::Arc;

use machine::error::Result;
use machine::process::Account;
use model::dataset::DatasetSpec;
use model::verify::{ContentDigest, Level};

use super::Sqlite;
use super::live_file::LiveFile;
use super::modes::WAL;
use super::settings::SqliteSettings;
use crate::database::{Database, Digest};
use crate::source::Preparation;

/// The database in a file that no process has open, and that was closed cleanly.
pub fn of_file(file: &Path) -> Database {
    let access = LiveFile::new(file.to_owned(), WAL, &SqliteSettings::default());
    Database { engine: &Sqlite, access: Arc::new(access) }
}

/// Computes the digest in a worker process. `integrity` says how thoroughly the database is examined; `None` for a
/// generated one.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn digest(
    database: &Path,
    spec: &DatasetSpec,
    integrity: Option<Level>,
    preparation: &Preparation<'_>,
) -> Result<ContentDigest> {
    preparation.tell("computing the digest of the dataset");
    let job = Digest { database: of_file(database), dataset: spec.clone(), integrity };
    preparation.launcher.work(Account::Preparation, &job, &mut |_| {})
}
