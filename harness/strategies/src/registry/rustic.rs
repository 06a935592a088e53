//! `rustic`: a consistent local backup goes into an encrypted, deduplicating repository in restic's format.
//!
//! Another program than restic, written in Rust, with chunks and packs of its own making: a repository of one can be read
//! by the other. See <https://rustic.cli.rs/>.

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

inventory::submit! { StrategyEntry::of::<Rustic>() }

const RUSTIC: Tool = Tool {
    command: "rustic",
    version_argument: "--version",
    install: HowToInstall::Instructions("run 'cargo install rustic-rs --locked' (some ten minutes)"),
};

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Rustic(RepositorySettings);

impl Definition for Rustic {
    const CARD: Card = Card {
        name: "rustic",
        summary: "rustic: a local backup into an encrypted, deduplicating repository",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[CP, RUSTIC, SQLITE3, ZSTD], image: None }],
        settings: SETTINGS,
        cost: Cost { backup: 4.0, restore: 4.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Strategy for Rustic {
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
fn rustic(repository: &Repository, arguments: &[&str]) -> Command {
    let mut command = Command::new(RUSTIC.command);
    command.arg("--repository").arg(&repository.place).arg("--password-file").arg(&repository.key_file);
    command.args(["--no-cache", "--no-progress", "--log-level", "warn"]).args(arguments);
    // Its frames would leave no room for the message among the last lines that are kept.
    command.env("RUST_BACKTRACE", "0");
    command
}

/// The tag of a backup.
fn tag(number: u32) -> String {
    format!("number-{number}")
}

impl Keeper for Rustic {
    fn create(&self, repository: &Repository) -> Vec<Command> {
        vec![rustic(repository, &["init"])]
    }

    fn store(&self, repository: &Repository, number: u32) -> Vec<Command> {
        let mut commands = vec![rustic(repository, &["backup", "--tag", &tag(number), "."])];
        if self.0.keep_last > 0 {
            // The tags differ, and would otherwise be groups of their own. Without these two options, data that is not
            // used any more stays for a day.
            let keep = ["--keep-last", &self.0.keep_last.to_string()];
            let at_once = ["--prune", "--instant-delete", "--keep-delete", "0s", "--group-by", "host"];
            commands.push(rustic(repository, &[&["forget"], &at_once[..], &keep[..]].concat()));
        }
        if self.0.check {
            commands.push(rustic(repository, &["check", "--read-data"]));
        }
        commands
    }

    fn fetch(&self, repository: &Repository, number: u32) -> Vec<Command> {
        vec![rustic(repository, &["restore", "--filter-tags", &tag(number), "latest", "."])]
    }
}
