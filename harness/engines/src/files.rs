//! What an engine can do with databases that are single files: generate one, adopt the user's own, inspect a backup.

use std::io;
use std::path::Path;
use std::sync::Arc;

use machine::error::Result;
use machine::process::Launcher;
use model::dataset::{DatasetSpec, Generated};
use model::verify::Level;
use reports::record::Check;
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::mode::Mode;
use crate::source::{Preparation, Source};

/// An engine whose databases are single files.
pub trait FileEngine: Sync {
    /// Writes a generated database to `file`, which must not exist yet. `cancel` is called about 20 times a second, and
    /// `progress` with the number of bytes written so far.
    ///
    /// # Errors
    /// [`Error::Input`](machine::error::Error::Input) for an invalid specification or a file that exists,
    /// [`Error::Environment`](machine::error::Error::Environment) without enough disk space or without permission, and
    /// [`Error::Interrupted`](machine::error::Error::Interrupted) after `cancel` returned true.
    fn generate(
        &self,
        spec: &DatasetSpec,
        file: &Path,
        cancel: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Generated>;

    /// Size of the database in `file`, with the files that belong to it.
    ///
    /// # Errors
    /// [`Error::Input`](machine::error::Error::Input) when it cannot be read, or is not a database of this engine.
    fn bytes(&self, file: &Path) -> Result<u64>;

    /// Why a file is not a database of this engine, judged by its first bytes; `None` when it may be one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn foreign(&self, file: &Path) -> io::Result<Option<&'static str>>;

    /// How other clients reach the database in `file`, which may be in use.
    fn access_to(&self, file: &Path) -> Arc<dyn Access>;

    /// The mode of the database in `file`.
    fn mode(&self, file: &Path) -> Mode;

    /// Approximate size of a database of `bytes` after it was adopted.
    fn adopted_bytes(&self, bytes: u64) -> u64;

    /// Makes a copy of the user's own database ready for trials: adds the tables that the workload writes to, and
    /// examines it as thoroughly as `integrity` says. The file itself is only read.
    ///
    /// # Errors
    /// [`Error::Input`](machine::error::Error::Input) when it cannot be used, with the cause.
    fn adopt(
        &self,
        file: &Path,
        spec: &DatasetSpec,
        integrity: Level,
        preparation: &Preparation<'_>,
    ) -> Result<Source>;

    /// Copies a database that may be in use. The original is only read.
    ///
    /// # Errors
    /// [`Error::Input`](machine::error::Error::Input) when it cannot be copied consistently.
    fn copy(&self, launcher: &Launcher, file: &Path, to: &Path) -> Result<()>;

    /// Inspects a backup for which there is no ledger, and compares it with the live database if that is given. Both are
    /// private copies.
    ///
    /// # Errors
    /// When a file cannot be read for a reason that is not a fault of the backup.
    fn inspect(&self, launcher: &Launcher, backup: &Path, live: Option<&Path>) -> Result<Inspection>;
}

/// What was found in a backup.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspection {
    /// The checks, in the order in which they were run.
    pub checks: Vec<Inspected>,
    /// Number of tables.
    pub tables: u64,
    /// Number of rows in all tables.
    pub rows: u64,
    /// Differences from the live database, one line each; null when no live database was given, or one of the two could
    /// not be read. A database that was written to after the backup always differs.
    pub differences: Option<Vec<String>>,
}

/// One check of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspected {
    /// What was checked.
    pub name: String,
    /// The result; null when the check could not be completed.
    pub result: Option<Check>,
    /// What is wrong, or why the check could not be completed.
    pub lines: Vec<String>,
}
