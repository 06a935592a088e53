//! `maintenance-window`: stop the application, run the sidecar once, start the application again.
//!
//! The same steps as `sidecar/maintenance-window.sh`, which does this for containers.

use engines::engine::Engine;
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
            summary: "stop the application, run the sidecar once, start the application again; a MySQL server keeps \
                      running, because the dump needs it",
            engines: &["mysql", "sqlite"],
            kind: Kind::Cold,
            promise: Promise {
                text: "consistent, with the configuration files; the application is stopped meanwhile; keeps every \
                       write acknowledged before the backup began",
                keeps: Keeps::Earlier,
            },
            settings: &[SQLITE_MODE],
            tools: &[],
            contained: true,
            cost: Cost { backup: 3.0, restore: 15.0 },
        }
    }

    fn image(&self, _engine: &'static dyn Engine) -> Option<&'static images::ImageKind> {
        Some(&images::SIDECAR)
    }

    fn takes_configuration(&self) -> bool {
        true
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<WindowSettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: WindowSettings = context.settings();
        // Errors in its settings are found before anything is stopped.
        let sidecar = single(context, settings.sqlite_mode)?;
        // The complete copy is checked and compressed: the final size is unknown.
        context.watch.expected_bytes = None;
        let stopped = context.subject.stop_application().map_err(Halt::from);
        let backed_up = stopped.and_then(|()| {
            context.watch.contain(sidecar)?;
            context.watch.make_durable()
        });
        // The application is started again even if the backup failed, and the backup's error is reported first.
        let started = context.subject.start();
        backed_up?;
        Ok(started?)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        restore(context)
    }
}
