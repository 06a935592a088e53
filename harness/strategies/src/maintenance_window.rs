//! `maintenance-window`: stop the application, run the sidecar once, start the application again.
//!
//! The order of `sidecar/maintenance-window.sh`, which does it for containers.

use engines::kinds::Engine;
use serde::{Deserialize, Serialize};

use crate::halt::Halt;
use crate::sidecar_container::{SQLITE_MODE, SqliteMode, restore, single};
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, images,
};

pub struct MaintenanceWindow;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WindowSettings {
    sqlite_mode: SqliteMode,
}

impl Strategy for MaintenanceWindow {
    fn card(&self) -> Card {
        Card {
            name: "maintenance-window",
            summary: "stop the application, run the sidecar once, start the application again; a MySQL server goes on, \
                      because it is what is dumped",
            engines: &["mysql", "sqlite"],
            kind: Kind::Cold,
            promise: Promise {
                text: "consistent, with the configuration files; writers stand still meanwhile; keeps every write \
                       acknowledged before it began",
                keeps: Keeps::Earlier,
            },
            settings: &[SQLITE_MODE],
            tools: &[],
            contained: true,
            cost: Cost { backup: 3.0, restore: 15.0 },
        }
    }

    fn image(&self, _engine: Engine) -> Option<images::Kind> {
        Some(images::Kind::Sidecar)
    }

    fn takes_configuration(&self) -> bool {
        true
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<WindowSettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: WindowSettings = context.settings();
        // What is wrong with it is found before anything is stopped.
        let sidecar = single(context, settings.sqlite_mode)?;
        // A copy that is whole is checked and packed: how many bytes that makes, nobody knows.
        context.watch.expected_bytes = None;
        let stopped = context.subject.stop_application().map_err(Halt::from);
        let backed_up = stopped.and_then(|()| {
            context.watch.contain(sidecar)?;
            context.watch.make_durable()
        });
        // Whatever became of it, the application comes back; and whether or not it does, the backup is judged.
        let started = context.subject.start();
        backed_up?;
        Ok(started?)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        restore(context)
    }
}
