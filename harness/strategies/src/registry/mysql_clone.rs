//! `mysql-clone`: `CLONE LOCAL DATA DIRECTORY`, which the running server executes itself.
//!
//! The copy is of the moment at which the statement ends. See the manual, "The Clone Plugin".

use engines::images::TOOLS;
use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;
use crate::mysql_tools::clone_data;

inventory::submit! { StrategyEntry::of::<MysqlClone>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MysqlClone {}

impl Definition for MysqlClone {
    const CARD: Card = Card {
        name: "mysql-clone",
        summary: "CLONE LOCAL DATA DIRECTORY, made durable",
        family: Family::Online,
        on: &[OnEngine { engine: "mysql", tools: &[CP], image: Some(&TOOLS) }],
        settings: &[],
        cost: Cost { backup: 1.5, restore: 1.0, artifact: 1.0 },
    };
}

impl Strategy for MysqlClone {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        clone_data(context)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}
