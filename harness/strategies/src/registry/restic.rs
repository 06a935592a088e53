//! `restic`: a consistent local backup goes into an encrypted, deduplicating repository.
//!
//! Content is cut into chunks at boundaries that it determines itself, and each chunk is stored once, so a second backup
//! stores only what changed. `VACUUM INTO` moves pages, and a dump shifts text: how much that costs is what `source` shows.
//! See <https://restic.readthedocs.io/>.

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

inventory::submit! { StrategyEntry::of::<Restic>() }

const RESTIC: Tool =
    Tool { command: "restic", version_argument: "version", install: HowToInstall::packages(&["restic"]) };

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Restic(RepositorySettings);

impl Definition for Restic {
    const CARD: Card = Card {
        name: "restic",
        summary: "restic: a local backup into an encrypted, deduplicating repository",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[CP, RESTIC, SQLITE3, ZSTD], image: None }],
        settings: SETTINGS,
        cost: Cost { backup: 4.0, restore: 4.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Strategy for Restic {
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

/// Without a cache: a machine that is restored has none.
fn restic(repository: &Repository, arguments: &[&str]) -> Command {
    let mut command = Command::new(RESTIC.command);
    command.arg("--repo").arg(&repository.place).arg("--password-file").arg(&repository.key_file);
    command.args(["--no-cache", "--quiet"]).args(arguments);
    command
}

/// The tag of a backup.
fn tag(number: u32) -> String {
    format!("number-{number}")
}

impl Keeper for Restic {
    fn create(&self, repository: &Repository) -> Vec<Command> {
        vec![restic(repository, &["init"])]
    }

    fn store(&self, repository: &Repository, number: u32) -> Vec<Command> {
        let mut commands = vec![restic(repository, &["backup", "--tag", &tag(number), "."])];
        if self.0.keep_last > 0 {
            // The tags differ, and would otherwise be groups of their own.
            let keep = ["--keep-last", &self.0.keep_last.to_string()];
            commands.push(restic(
                repository,
                &[&["forget", "--prune", "--group-by", "host"], &keep[..]].concat(),
            ));
        }
        if self.0.check {
            commands.push(restic(repository, &["check", "--read-data"]));
        }
        commands
    }

    fn fetch(&self, repository: &Repository, number: u32) -> Vec<Command> {
        vec![restic(repository, &["restore", "latest", "--tag", &tag(number), "--target", "."])]
    }
}
