//! `xtrabackup`: Percona XtraBackup, which copies the files of a live InnoDB together with its redo log.

use std::process::{Command, Stdio};

use machine::how_to_install::HowToInstall;
use machine::tool::{CP, Tool};
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;

const XTRABACKUP: Tool = Tool {
    command: "xtrabackup",
    version_argument: "--version",
    install: HowToInstall::Instructions(
        "install Percona XtraBackup of the server's own series (percona-xtrabackup-84 for MySQL 8.4) from Percona's \
         package repository",
    ),
};

inventory::submit! { StrategyEntry::of::<Xtrabackup>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Xtrabackup {}

impl Definition for Xtrabackup {
    const CARD: Card = Card {
        name: "xtrabackup",
        summary: "xtrabackup --backup, then --prepare and a copy back",
        family: Family::Online,
        on: &[OnEngine { engine: "mysql", tools: &[CP, XTRABACKUP], image: None }],
        settings: &[],
        cost: Cost { backup: 1.5, restore: 2.0, artifact: 1.0 },
    };
}

impl Strategy for Xtrabackup {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let target = context.target();
        let server = context.subject.server_mut()?;
        let mut command = Command::new(XTRABACKUP.command);
        // --defaults-file must be the first option.
        command.arg(format!("--defaults-file={}", server.option_file()?.display()));
        command.args(["--no-version-check", "--backup"]);
        command.arg(format!("--datadir={}", server.data_directory().display()));
        command.arg(format!("--target-dir={}", target.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = context.watch.spawn(command)?;
        context.watch.run(vec![child])?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)?;
        let mut command = Command::new(XTRABACKUP.command);
        command.args(["--no-defaults", "--prepare"]);
        command.arg(format!("--target-dir={}", context.subject.data().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = context.watch.spawn(command)?;
        context.watch.run(vec![child])?;
        context.watch.complete_restore()
    }
}
