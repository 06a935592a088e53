//! `cold-copy`: stops the application, copies its files, and starts it again (a maintenance window).

use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::halt::Halt;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete,
};

pub struct ColdCopy;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ColdCopySettings {}

impl Strategy for ColdCopy {
    fn card(&self) -> Card {
        Card {
            name: "cold-copy",
            summary: "stop the application, cp and fsync its files, start it again",
            engines: &["mariadb", "mysql", "sqlite"],
            kind: Kind::Cold,
            promise: Promise {
                text: "consistent; the application is stopped meanwhile; keeps every write acknowledged before the \
                       backup began",
                keeps: Keeps::Earlier,
            },
            settings: &[],
            tools: &[CP],
            contained: false,
            cost: Cost { backup: 1.0, restore: 1.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<ColdCopySettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        context.subject.stop()?;
        let files = files::of_database(context.subject.data());
        let copied = files::copy(context.watch, &files, context.destination);
        // The application is started again even if the copy failed, and the copy's error is reported first.
        let started = context.subject.start();
        copied?;
        Ok(started?)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)
    }
}
