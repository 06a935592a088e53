//! `sqlite-cli-backup`: `.backup` of SQLite's command line, as operators run it.
//!
//! It copies 100 pages a step (in 3.40 and in 3.53) and does not report its progress, so progress is measured by the
//! growth of the target. Without a timeout, it fails at the first lock conflict.

use std::process::{Command, Stdio};

use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;
use crate::sqlite_tools::SQLITE3;

inventory::submit! { StrategyEntry::of::<SqliteCliBackup>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SqliteCliBackup {
    timeout_ms: u64,
}

impl Definition for SqliteCliBackup {
    const CARD: Card = Card {
        name: "sqlite-cli-backup",
        summary: "sqlite3 DATABASE \".backup TARGET\"",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[SQLITE3, CP], image: None }],
        settings: &[("timeout_ms", "'.timeout' in ms before '.backup'; 0: none, as most people run it")],
        cost: Cost { backup: 1.5, restore: 1.0, artifact: 1.0 },
    };
}

impl Strategy for SqliteCliBackup {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let mut command = Command::new(SQLITE3.command);
        command.arg(context.subject.data());
        if self.timeout_ms > 0 {
            command.arg(format!(".timeout {}", self.timeout_ms));
        }
        let target = context.target().display().to_string().replace('\\', r"\\").replace('"', "\\\"");
        command.arg(format!(".backup \"{target}\""));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        context.watch.expect_unreported_restarts();
        let child = context.watch.spawn(command)?;
        context.watch.run(vec![child])?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}
