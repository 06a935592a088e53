//! `sqlite-vacuum-into`: `VACUUM INTO`, which writes a compacted copy inside one read transaction.
//!
//! SQLite does not fsync the copy; the harness does, and includes the time. See
//! <https://sqlite.org/lang_vacuum.html>.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use machine::tool::CP;
use machine::worker::{Job, JobEntry, Progress};
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;
use crate::sqlite_tools::open_live;
use crate::steady_sync;

inventory::submit! { StrategyEntry::of::<SqliteVacuumInto>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SqliteVacuumInto {
    busy_timeout_ms: u64,
    sync_every_mib: u64,
}

impl Default for SqliteVacuumInto {
    fn default() -> Self {
        SqliteVacuumInto { busy_timeout_ms: 10_000, sync_every_mib: 0 }
    }
}

/// The job of its worker: executes the statement.
#[derive(Serialize, Deserialize)]
struct VacuumInto {
    source: PathBuf,
    target: PathBuf,
    busy_timeout_ms: u64,
    sync_every_mib: u64,
}

impl Definition for SqliteVacuumInto {
    const CARD: Card = Card {
        name: "sqlite-vacuum-into",
        summary: "VACUUM INTO: a compacted copy inside one read transaction",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[CP], image: None }],
        settings: &[
            ("busy_timeout_ms", "how long it waits for a lock"),
            (
                "sync_every_mib",
                "synchronise the target each time it has grown by this many MiB, so that less is left for the end; 0: \
                 only at the end",
            ),
        ],
        cost: Cost { backup: 2.0, restore: 1.0, artifact: 1.0 },
    };

    const JOBS: &'static [JobEntry] = &[JobEntry::of::<VacuumInto>()];
}

impl Strategy for SqliteVacuumInto {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; \
                   does not block writers in WAL mode, blocks them in delete mode",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let (source, target) = (context.subject.data().to_owned(), context.target());
        let SqliteVacuumInto { busy_timeout_ms, sync_every_mib } = *self;
        context.watch.work(&VacuumInto { source, target, busy_timeout_ms, sync_every_mib })?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}

impl Job for VacuumInto {
    const NAME: &'static str = SqliteVacuumInto::CARD.name;
    type Answer = ();

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        let source = open_live(&self.source, Duration::from_millis(self.busy_timeout_ms))?;
        let target = self.target.to_str().context("the path of the target is not UTF-8")?;
        steady_sync::beside(&self.target, self.sync_every_mib.saturating_mul(1 << 20), || {
            source.execute("VACUUM INTO ?1", [target]).context("VACUUM INTO failed")
        })?;
        Ok(())
    }
}
