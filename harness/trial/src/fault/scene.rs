//! What a fault can reach.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engines::database::{Database, OtherClient};
use machine::error::{Error, Result};
use machine::file_system::TemporaryFileSystem;
use machine::measure::storage;
use machine::process::{Account, Group, Launcher};
use offsite::server::Line;
use strategies::contract::ConfiguredStrategy;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How long another client may take to execute its first statements.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes another backup into the same directory, and returns what came of it.
pub type AnotherBackup<'a> = Box<dyn Fn() -> Result<String> + Sync + 'a>;

/// What a fault can reach in a trial.
pub struct Scene<'a> {
    /// The processes of the trial.
    pub launcher: &'a Launcher,
    /// The strategy.
    pub strategy: &'a ConfiguredStrategy,
    /// A random number of the trial, the same each time that it is run.
    pub random: u64,
    /// The live database.
    pub database: Database,
    /// The table of the live database that the application writes most of its rows to.
    pub table: &'static str,
    /// The directory of the artifact.
    pub artifact: PathBuf,
    /// Size of the backup that was made before the fault; `None` without one.
    pub previous_bytes: Option<u64>,
    /// The separate file system that the fault asked for.
    pub separate: Option<&'a TemporaryFileSystem>,
    /// What the disaster left of the data: a file or a data directory. It does not exist before that.
    pub lost: PathBuf,
    /// Where the data will be restored: a file or a data directory.
    pub restored: PathBuf,
    /// The line to the server of the destination; `None` without one that can be cut.
    pub line: Option<Arc<Line>>,
    /// Makes another backup; `None` where backups are not made by the trial.
    pub another_backup: Option<AnotherBackup<'a>>,
}

impl Scene<'_> {
    /// The separate file system.
    ///
    /// # Errors
    /// [`Error::Bug`] when the fault did not ask for one.
    pub fn separate(&self) -> Result<&TemporaryFileSystem> {
        self.separate.ok_or_else(|| Error::Bug(anyhow::anyhow!("a fault has no separate file system")))
    }

    /// Makes another backup into the same directory, and waits for it. Returns what came of it.
    ///
    /// # Errors
    /// [`Error::Bug`] where backups are not made by the trial, and errors of the machine.
    pub fn another_backup(&self) -> Result<String> {
        match &self.another_backup {
            Some(another_backup) => another_backup(),
            None => Err(Error::Bug(anyhow::anyhow!("a trial without backups of its own has none to repeat"))),
        }
    }

    /// Lets another client work on the live database, until what is returned is called: that ends it, and returns the
    /// number of statements that it has repeated successfully.
    ///
    /// # Errors
    /// When it cannot connect, or the database rejects its first statements.
    pub fn other_client(
        &self,
        first: Vec<String>,
        repeated: Vec<String>,
        last: Vec<String>,
    ) -> Result<impl FnOnce() -> Result<u64> + Send + '_> {
        let job = OtherClient { database: self.database.clone(), first, repeated, last };
        let (child, stdin) = self.launcher.worker(Account::Harness, &job)?;
        let mut group = Group::new(vec![child]);
        group.wait_ready(&self.launcher.cancel, CLIENT_TIMEOUT)?;
        Ok(move || {
            drop(stdin);
            let answer = group.wait(|_| self.launcher.cancel.check())?.result()?;
            Ok(answer.as_u64().unwrap_or_default())
        })
    }

    /// A random number from 0 to below `bound`, for one purpose.
    pub fn random_below(&self, bound: u64, purpose: &str) -> u64 {
        xxh3_64_with_seed(purpose.as_bytes(), self.random) % bound.max(1)
    }

    /// A random byte of the artifact: its file, the path below the artifact for texts, and its offset. Every byte of
    /// every file is equally likely. `None` when the artifact is empty.
    pub fn random_byte(&self, purpose: &str) -> Option<(PathBuf, String, u64)> {
        let files: Vec<(PathBuf, u64)> = storage::files(&self.artifact)
            .into_iter()
            .map(|file| (file.clone(), storage::bytes(&file)))
            .collect();
        let all: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let mut left = self.random_below(all, purpose);
        for (file, bytes) in files {
            if left < bytes {
                let name = self.below_artifact(&file);
                return Some((file, name, left));
            }
            left -= bytes;
        }
        None
    }

    /// A path as texts name it.
    pub fn below_artifact(&self, path: &Path) -> String {
        path.strip_prefix(&self.artifact).unwrap_or(path).display().to_string()
    }
}
