//! `maintenance-window`: stop the application, run the sidecar once, start the application again.
//!
//! The same steps as `sidecar/maintenance-window.sh`, which does this for containers.

use engines::images::SIDECAR;
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise,
    RestoreContext, RestoreResult, Strategy, StrategyEntry, StrategyFailure,
};
use crate::sidecar_container::{SQLITE_MODE, SqliteMode, restore, single};

inventory::submit! { StrategyEntry::of::<MaintenanceWindow>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MaintenanceWindow {
    sqlite_mode: SqliteMode,
}

impl Definition for MaintenanceWindow {
    const CARD: Card = Card {
        name: "maintenance-window",
        summary: "stop the application, run the sidecar once, start the application again; a MySQL server keeps \
                  running, because the dump needs it",
        family: Family::Cold,
        on: &[
            OnEngine { engine: "mysql", tools: &[], image: Some(&SIDECAR) },
            OnEngine { engine: "sqlite", tools: &[], image: Some(&SIDECAR) },
        ],
        settings: &[SQLITE_MODE],
        cost: Cost { backup: 3.0, restore: 15.0, artifact: 1.0 },
    };
}

impl Strategy for MaintenanceWindow {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent, with the configuration files; the application is stopped meanwhile; keeps every \
                   write acknowledged before the backup began",
            keeps: Keeps::Earlier,
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities { takes_configuration: true, ..Abilities::default() }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        // Errors in its settings are found before anything is stopped.
        let sidecar = single(context, self.sqlite_mode)?;
        // The complete copy is checked and compressed: the final size is unknown.
        context.watch.expect_any_size();
        let stopped = context.subject.stop_application().map_err(StrategyFailure::from);
        let backed_up = stopped.and_then(|()| {
            context.watch.run_container(sidecar)?;
            context.watch.complete_backup()
        });
        // The application is started again even if the backup failed, and the backup's error is reported first.
        let started = context.subject.start();
        let outcome = backed_up?;
        started?;
        Ok(outcome)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        restore(context)
    }
}
