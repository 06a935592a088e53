//! Where databases are, and what the verifier does with them in a process of its own.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use machine::worker::{Job, Message, Progress};
use model::dataset::{DatasetSpec, TableNames, original_torrents};
use model::verify::reader::{DatabaseReader, Location};
use model::verify::{ContentDigest, Level, Report, Request, content_digest, unwritten, verify};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::access::Access;
use crate::engine::Engine;

/// Where a database is, for another process. Nothing writes to it while it is read.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its engine.
    pub engine: &'static dyn Engine,
    /// How the engine reaches it.
    pub access: Arc<dyn Access>,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.access.fmt(f)
    }
}

impl Location for Database {
    fn reader(&self, names: TableNames) -> Box<dyn DatabaseReader + '_> {
        self.access.reader(names)
    }
}

/// A [`Database`] in serialised form.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Database", deny_unknown_fields)]
struct Plain {
    engine: &'static dyn Engine,
    access: Value,
}

impl Serialize for Database {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Plain { engine: self.engine, access: self.access.value() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Database, D::Error> {
        let Plain { engine, access } = Plain::deserialize(deserializer)?;
        let access = engine.access(access).map_err(D::Error::custom)?;
        Ok(Database { engine, access })
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
    pub integrity: Option<Level>,
}

impl Job for Digest {
    const NAME: &'static str = "digest";
    type Answer = ContentDigest;

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<ContentDigest> {
        let original = original_torrents(&self.dataset)?;
        let on_progress = &mut |done| report(Progress::done(done));
        Ok(content_digest(&self.database, original.as_ref(), self.integrity, on_progress)?)
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
        let original = original_torrents(&self.dataset)?;
        Ok(verify(&self.request, original.as_ref(), &mut |done| report(Progress::done(done)))?)
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
        let original = original_torrents(&self.dataset)?;
        Ok(unwritten(&self.request, original.as_ref())?)
    }
}

/// Let another client work on a database until standard input is closed.
#[derive(Serialize, Deserialize)]
pub struct OtherClient {
    /// The database.
    pub database: Database,
    /// Statements that it executes before it reports that it is ready.
    pub first: Vec<String>,
    /// Statements that it then executes again and again. Those that the database rejects are ignored: they may have to
    /// wait for locks for too long.
    pub repeated: Vec<String>,
    /// Statements that it executes at the end.
    pub last: Vec<String>,
}

/// Pause between two repeated statements.
const PAUSE: Duration = Duration::from_millis(2);

impl Job for OtherClient {
    const NAME: &'static str = "other client";
    /// The number of repeated statements that succeeded.
    type Answer = u64;

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<u64> {
        let mut execute = self.database.access.another_client()?;
        self.first.iter().try_for_each(|statement| execute(statement))?;
        Message::Ready(Value::Null).send();
        let ended = std::thread::spawn(|| {
            // Returns when the harness closes standard input, or has ended.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        });
        let mut succeeded = 0;
        while !ended.is_finished() {
            for statement in &self.repeated {
                succeeded += u64::from(execute(statement).is_ok());
            }
            std::thread::sleep(PAUSE);
        }
        self.last.iter().try_for_each(|statement| execute(statement))?;
        Ok(succeeded)
    }
}
