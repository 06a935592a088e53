//! `cold-copy`: stops the application, copies its files, and starts it again (a maintenance window).

use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;

inventory::submit! { StrategyEntry::of::<ColdCopy>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ColdCopy {}

impl Definition for ColdCopy {
    const CARD: Card = Card {
        name: "cold-copy",
        summary: "stop the application, cp and fsync its files, start it again",
        family: Family::Cold,
        on: &[
            OnEngine { engine: "mariadb", tools: &[CP], image: None },
            OnEngine { engine: "mysql", tools: &[CP], image: None },
            OnEngine { engine: "sqlite", tools: &[CP], image: None },
        ],
        settings: &[],
        cost: Cost { backup: 1.0, restore: 1.0, artifact: 1.0 },
    };
}

impl Strategy for ColdCopy {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; the application is stopped meanwhile; keeps every write acknowledged before the \
                   backup began",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        context.subject.stop()?;
        let files = files::of_database(context.subject.data());
        let copied = files::copy(context.watch, &files, context.destination);
        let backed_up = copied.and_then(|()| context.watch.complete_backup());
        // The application is started again even if the copy failed, and the copy's error is reported first.
        let started = context.subject.start();
        let outcome = backed_up?;
        started?;
        Ok(outcome)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}
