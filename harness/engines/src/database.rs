//! Where databases are, and what the verifier does with them in a process of its own.

use std::path::PathBuf;

use machine::worker::{Job, Progress};
use model::dataset::{DatasetSpec, TableNames, origin};
use model::verify::reader::{DatabaseReader, Location};
use model::verify::{ContentDigest, Integrity, Report, Request, content_digest, unwritten, verify};
use serde::{Deserialize, Serialize};

use crate::mysql::connection::Address;
use crate::mysql::reader::MysqlDatabase;
use crate::sqlite::reader::SqliteFile;

/// Where a database is. Nothing writes to it while it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    /// A SQLite file. No other process has it open, and it was closed cleanly.
    Sqlite(PathBuf),
    /// A database of a running MySQL server.
    Mysql(Address),
}

impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Database::Sqlite(path) => path.display().fmt(f),
            Database::Mysql(address) => address.fmt(f),
        }
    }
}

impl Location for Database {
    fn reader(&self, names: TableNames) -> Box<dyn DatabaseReader + '_> {
        match self {
            Database::Sqlite(path) => Box::new(SqliteFile { path, names }),
            Database::Mysql(address) => Box::new(MysqlDatabase(address)),
        }
    }
}

/// Compute the digest of a source database.
#[derive(Serialize, Deserialize)]
pub struct Digest {
    /// The database.
    pub database: Database,
    /// What it was generated from.
    pub dataset: DatasetSpec,
    /// How thoroughly it is examined; null for a generated one.
    pub integrity: Option<Integrity>,
}

impl Job for Digest {
    const NAME: &'static str = "digest";
    type Answer = ContentDigest;

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<ContentDigest> {
        let origin = origin(&self.dataset)?;
        let on_progress = &mut |done| report(Progress::done(done));
        Ok(content_digest(&self.database, origin.as_ref(), self.integrity, on_progress)?)
    }
}

/// Compare a restored database with the ledger.
#[derive(Serialize, Deserialize)]
pub struct Verify {
    /// What is to be checked.
    pub request: Request<Database>,
    /// What the database was generated from.
    pub dataset: DatasetSpec,
}

impl Job for Verify {
    const NAME: &'static str = "verifier";
    type Answer = Report;

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Report> {
        let origin = origin(&self.dataset)?;
        Ok(verify(&self.request, origin.as_ref(), &mut |done| report(Progress::done(done)))?)
    }
}

/// Find the acknowledged writes that the application's own database lacks.
#[derive(Serialize, Deserialize)]
pub struct Unwritten {
    /// What is to be looked at.
    pub request: Request<Database>,
    /// What the database was generated from.
    pub dataset: DatasetSpec,
}

impl Job for Unwritten {
    const NAME: &'static str = "examination of what was lost";
    type Answer = Vec<(u32, u64)>;

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Self::Answer> {
        let origin = origin(&self.dataset)?;
        Ok(unwritten(&self.request, origin.as_ref())?)
    }
}
