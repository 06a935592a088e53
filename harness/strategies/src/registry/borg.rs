//! `borg`: a consistent local backup goes into an encrypted, deduplicating repository of BorgBackup.
//!
//! Content is cut into chunks at boundaries that it determines itself, and each chunk is stored once. Nothing is used at the
//! restore but the repository and its passphrase: caches and key files are in a new directory each time. See
//! <https://borgbackup.readthedocs.io/>.

use std::process::Command;

use machine::how_to_install::HowToInstall;
use machine::tool::{CP, Tool};
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Cost, Definition, Family, OnEngine, Promise,
    RestoreContext, RestoreResult, Strategy, StrategyEntry,
};
use crate::repository::{self, Keeper, PROMISE, Repository, RepositorySettings, SETTINGS};
use crate::sqlite_tools::{SQLITE3, ZSTD};

inventory::submit! { StrategyEntry::of::<Borg>() }

const BORG: Tool =
    Tool { command: "borg", version_argument: "--version", install: HowToInstall::packages(&["borgbackup"]) };

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Borg(RepositorySettings);

impl Definition for Borg {
    const CARD: Card = Card {
        name: "borg",
        summary: "BorgBackup: a local backup into an encrypted, deduplicating repository",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[BORG, CP, SQLITE3, ZSTD], image: None }],
        settings: SETTINGS,
        cost: Cost { backup: 4.0, restore: 4.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Strategy for Borg {
    fn promise(&self) -> Promise {
        PROMISE
    }

    fn abilities(&self) -> Abilities<'_> {
        self.0.abilities()
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        repository::back_up(self, &self.0, context)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        repository::restore(self, &self.0, context)
    }
}

/// A command on the repository, with the state of this machine in the directory `state` beside the artifact: a restore must
/// not need it.
fn borg(repository: &Repository, state: &str, arguments: &[&str]) -> Command {
    let beside_artifact =
        repository.place.ancestors().nth(2).expect("a repository is in an artifact, in a directory");
    let key_file = repository.key_file.to_string_lossy();
    let mut command = Command::new(BORG.command);
    command.args(arguments);
    command
        .env("BORG_REPO", &repository.place)
        // The program splits it into words as a shell does.
        .env("BORG_PASSCOMMAND", format!("cat '{}'", key_file.replace('\'', "'\\''")))
        .env("BORG_BASE_DIR", beside_artifact.join(state))
        // At the restore, the repository is unknown to this state.
        .env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    command
}

const STATE: &str = "borg-state";

/// The name of a backup.
fn archive(number: u32) -> String {
    format!("::number-{number}")
}

impl Keeper for Borg {
    fn create(&self, repository: &Repository) -> Vec<Command> {
        vec![borg(repository, STATE, &["init", "--encryption", "repokey-blake2"])]
    }

    fn store(&self, repository: &Repository, number: u32) -> Vec<Command> {
        let mut commands = vec![borg(repository, STATE, &["create", &archive(number), "."])];
        if self.0.keep_last > 0 {
            commands.push(borg(repository, STATE, &["prune", "--keep-last", &self.0.keep_last.to_string()]));
            commands.push(borg(repository, STATE, &["compact"]));
        }
        if self.0.check {
            commands.push(borg(repository, STATE, &["check", "--verify-data"]));
        }
        commands
    }

    fn fetch(&self, repository: &Repository, number: u32) -> Vec<Command> {
        vec![borg(repository, "borg-state-of-restore", &["extract", &archive(number)])]
    }
}
