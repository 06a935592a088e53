//! `mysql-clone`: `CLONE LOCAL DATA DIRECTORY`, which the running server executes itself.
//!
//! The copy is of the moment at which the statement ends. See the manual, "The Clone Plugin".

use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::halt::Halt;
use crate::mysql_tools::clone_data;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete,
};

pub struct MysqlClone;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CloneSettings {}

impl Strategy for MysqlClone {
    fn card(&self) -> Card {
        Card {
            name: "mysql-clone",
            summary: "CLONE LOCAL DATA DIRECTORY, made durable",
            engines: &["mysql"],
            kind: Kind::Online,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
                keeps: Keeps::Earlier,
            },
            settings: &[],
            tools: &[CP],
            contained: true,
            cost: Cost { backup: 1.5, restore: 1.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<CloneSettings>(given).map(|(_, complete)| complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        clone_data(context)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)
    }
}
