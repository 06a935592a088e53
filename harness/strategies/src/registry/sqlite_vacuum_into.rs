//! `sqlite-vacuum-into`: `VACUUM INTO`, which writes a compacted copy inside one read transaction.
//!
//! SQLite does not fsync the copy; the harness does, and includes the time. See
//! <https://sqlite.org/lang_vacuum.html>.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use machine::tool::CP;
use machine::worker::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files;
use crate::halt::Halt;
use crate::sqlite_tools::open_live;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, spawn_work,
};

pub struct SqliteVacuumInto;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct VacuumIntoSettings {
    busy_timeout_ms: u64,
}

impl Default for VacuumIntoSettings {
    fn default() -> Self {
        VacuumIntoSettings { busy_timeout_ms: 10_000 }
    }
}

#[derive(Serialize, Deserialize)]
struct Task {
    source: PathBuf,
    target: PathBuf,
    settings: VacuumIntoSettings,
}

impl Strategy for SqliteVacuumInto {
    fn card(&self) -> Card {
        Card {
            name: "sqlite-vacuum-into",
            summary: "VACUUM INTO: a compacted copy inside one read transaction",
            engines: &["sqlite"],
            kind: Kind::Online,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; \
                       does not block writers in WAL mode, blocks them in delete mode",
                keeps: Keeps::Earlier,
            },
            settings: &[("busy_timeout_ms", "how long it waits for a lock")],
            tools: &[CP],
            contained: false,
            cost: Cost { backup: 2.0, restore: 1.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<VacuumIntoSettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let task = json!(Task {
            source: context.subject.data().to_owned(),
            target: context.target(),
            settings: context.settings(),
        });
        let child = spawn_work(context.watch, self.card().name, task)?;
        context.watch.run(vec![child])?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)
    }

    fn work(&self, task: Value, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        let Task { source, target, settings } = serde_json::from_value(task)?;
        let source = open_live(&source, Duration::from_millis(settings.busy_timeout_ms))?;
        let target = target.to_str().context("the path of the target is not UTF-8")?;
        source.execute("VACUUM INTO ?1", [target]).context("VACUUM INTO failed")?;
        Ok(Value::Null)
    }
}
