//! `xtrabackup`: Percona XtraBackup, which copies the files of a live InnoDB together with its redo log.

use std::process::{Command, Stdio};

use machine::tool::{CP, Get, Tool};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::halt::Halt;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, spawn,
};

pub struct Xtrabackup;

const XTRABACKUP: Tool = Tool {
    command: "xtrabackup",
    version_argument: "--version",
    get: Get::Words(
        "install Percona XtraBackup of the server's own series (percona-xtrabackup-84 for MySQL 8.4) from Percona's \
         package repository",
    ),
};

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct XtrabackupSettings {}

impl Strategy for Xtrabackup {
    fn card(&self) -> Card {
        Card {
            name: "xtrabackup",
            summary: "xtrabackup --backup, then --prepare and a copy back",
            engines: &["mysql"],
            kind: Kind::Online,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
                keeps: Keeps::Earlier,
            },
            settings: &[],
            tools: &[CP, XTRABACKUP],
            contained: false,
            cost: Cost { backup: 1.5, restore: 2.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<XtrabackupSettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let target = context.target();
        let server = context.subject.server_mut()?;
        let mut command = Command::new(XTRABACKUP.command);
        // --defaults-file must be the first option.
        command.arg(format!("--defaults-file={}", server.option_file()?.display()));
        command.args(["--no-version-check", "--backup"]);
        command.arg(format!("--datadir={}", server.data_directory().display()));
        command.arg(format!("--target-dir={}", target.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = spawn(context.watch, command)?;
        context.watch.run(vec![child])?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)?;
        let mut command = Command::new(XTRABACKUP.command);
        command.args(["--no-defaults", "--prepare"]);
        command.arg(format!("--target-dir={}", context.subject.data().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = spawn(context.watch, command)?;
        context.watch.run(vec![child])?;
        context.watch.make_durable()
    }
}
