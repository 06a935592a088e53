//! `sqlite-cli-backup`: `.backup` of SQLite's command line, as operators run it.
//!
//! It copies 100 pages a step (in 3.40 and in 3.53) and does not report its progress, so progress is measured by the
//! growth of the target. Without a timeout, it fails at the first lock conflict.

use std::process::{Command, Stdio};

use machine::tool::{CP, SQLITE3};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::halt::Halt;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, spawn,
};
use crate::watch::Passes;

pub struct SqliteCliBackup;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CliBackupSettings {
    timeout_ms: u64,
}

impl Strategy for SqliteCliBackup {
    fn card(&self) -> Card {
        Card {
            name: "sqlite-cli-backup",
            summary: "sqlite3 DATABASE \".backup TARGET\"",
            engines: &["sqlite"],
            kind: Kind::Online,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
                keeps: Keeps::Earlier,
            },
            settings: &[("timeout_ms", "'.timeout' in ms before '.backup'; 0: none, as most people run it")],
            tools: &[SQLITE3, CP],
            contained: false,
            cost: Cost { backup: 1.5, restore: 1.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<CliBackupSettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: CliBackupSettings = context.settings();
        let mut command = Command::new(SQLITE3.command);
        command.arg(context.subject.data());
        if settings.timeout_ms > 0 {
            command.arg(format!(".timeout {}", settings.timeout_ms));
        }
        let target = context.target().display().to_string().replace('\\', r"\\").replace('"', "\\\"");
        command.arg(format!(".backup \"{target}\""));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        context.watch.passes = Passes::FromBytesWritten;
        let child = spawn(context.watch, command)?;
        context.watch.run(vec![child])?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)
    }
}
