//! `mydumper`: a logical dump by several threads, loaded back with `myloader` into a fresh server.

use engines::images::TOOLS;
use engines::mysql::server::{ARTIFACT, RUN};
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::mysql_tools::pipeline;

inventory::submit! { StrategyEntry::of::<Mydumper>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Mydumper {
    threads: u32,
}

impl Default for Mydumper {
    fn default() -> Self {
        Mydumper { threads: 2 }
    }
}

impl Definition for Mydumper {
    const CARD: Card = Card {
        name: "mydumper",
        summary: "mydumper with several threads, restored with myloader",
        family: Family::Logical,
        on: &[OnEngine { engine: "mysql", tools: &[], image: Some(&TOOLS) }],
        settings: &[("threads", "threads of mydumper and of myloader")],
        cost: Cost { backup: 3.0, restore: 40.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        if !(1..=64).contains(&self.threads) {
            return Err("threads must be from 1 to 64".into());
        }
        Ok(())
    }
}

impl Strategy for Mydumper {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; blocks writers for a short \
                   lock at the beginning",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let threads = self.threads;
        let server = context.subject.server_mut()?;
        let script = format!(
            "mydumper --defaults-file={RUN}/client.cnf --database {} --threads {threads} --compress=ZSTD \
             --outputdir {ARTIFACT}/dump",
            server.address().database
        );
        let spec = pipeline("mydumper", &context.equipment, server, context.destination, &script)?;
        // The compressed size is unknown.
        context.watch.expect_any_size();
        context.watch.run_container(spec)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        let threads = self.threads;
        let server = context.subject.server_mut()?;
        server.start()?;
        let script = format!(
            "myloader --defaults-file={RUN}/client.cnf --database {} --threads {threads} --directory {ARTIFACT}/dump",
            server.address().database
        );
        let spec = pipeline("myloader", &context.equipment, server, context.artifact, &script)?;
        context.watch.run_container(spec)?;
        Ok(context.watch.measured())
    }
}
