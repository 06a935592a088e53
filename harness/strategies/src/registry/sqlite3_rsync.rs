//! `sqlite3-rsync`: SQLite's own `sqlite3_rsync`, which sends the pages in which a live database and a replica differ.
//!
//! The first time it sends every page, afterwards hashes of the existing pages and the pages that differ. It reads in
//! one transaction and does not wait for locks, so in delete mode it blocks writers, or fails at once. See
//! <https://sqlite.org/rsync.html>.

use engines::images::TOOLS;
use engines::mysql::server::ARTIFACT;
use machine::container::BindMount;
use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;

inventory::submit! { StrategyEntry::of::<Sqlite3Rsync>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sqlite3Rsync {
    synchronisations: u32,
}

impl Default for Sqlite3Rsync {
    fn default() -> Self {
        Sqlite3Rsync { synchronisations: 2 }
    }
}

/// The path of the live database in the container.
const LIVE: &str = "/live";

impl Definition for Sqlite3Rsync {
    const CARD: Card = Card {
        name: "sqlite3-rsync",
        summary: "sqlite3_rsync DATABASE REPLICA, several times: first everything, then the differences",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[CP], image: Some(&TOOLS) }],
        settings: &[(
            "synchronisations",
            "number of synchronisations, one after the other; the artifact is the replica after the last one",
        )],
        cost: Cost { backup: 5.0, restore: 1.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        if !(1..=100).contains(&self.synchronisations) {
            return Err("synchronisations must be from 1 to 100".into());
        }
        Ok(())
    }
}

impl Strategy for Sqlite3Rsync {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers in \
                   WAL mode; in delete mode it blocks them, or fails",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let synchronisations = self.synchronisations;
        let target = context.target();
        let name = target.file_name().expect("a target has a name").to_string_lossy();
        // The output, which the record keeps, tells how much each synchronisation sent and how long it took.
        let script = format!(
            "TIMEFORMAT='in %R s'\n\
             for number in $(seq {synchronisations}); do\n\
             echo \"synchronisation $number:\"\n\
             time sqlite3_rsync -v '{LIVE}/{name}' '{ARTIFACT}/{name}'\n\
             done"
        );
        let mut spec = context.equipment.container("sqlite3_rsync", context.destination, &script)?;
        let live = context.subject.data().parent().expect("a database lies in a directory");
        // A reader of a database in WAL mode writes to the WAL index.
        spec.mounts.push(BindMount { host: live.to_owned(), container: LIVE.into(), read_only: false });
        context.watch.run_container(spec)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}
