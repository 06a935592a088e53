//! `sqlite3-rsync`: SQLite's own `sqlite3_rsync`, which sends the pages in which a live database and a replica differ.
//!
//! The first time it sends every page, afterwards hashes of the existing pages and the pages that differ. It reads in
//! one transaction and does not wait for locks, so in delete mode it blocks writers, or fails at once. See
//! <https://sqlite.org/rsync.html>.

use engines::mysql::server::ARTIFACT;
use machine::container::Mount;
use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::halt::Halt;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, contained,
};

pub struct Sqlite3Rsync;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RsyncSettings {
    synchronisations: u32,
}

impl Default for RsyncSettings {
    fn default() -> Self {
        RsyncSettings { synchronisations: 2 }
    }
}

/// The path of the live database in the container.
const LIVE: &str = "/live";

impl Strategy for Sqlite3Rsync {
    fn card(&self) -> Card {
        Card {
            name: "sqlite3-rsync",
            summary: "sqlite3_rsync DATABASE REPLICA, several times: first everything, then the differences",
            engines: &["sqlite"],
            kind: Kind::Online,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; does not block writers in \
                       WAL mode; in delete mode it blocks them, or fails",
                keeps: Keeps::Earlier,
            },
            settings: &[(
                "synchronisations",
                "number of synchronisations, one after the other; the artifact is the replica after the last one",
            )],
            tools: &[CP],
            contained: true,
            cost: Cost { backup: 5.0, restore: 1.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<RsyncSettings>(given)?;
        if !(1..=100).contains(&settings.synchronisations) {
            return Err("synchronisations must be from 1 to 100".into());
        }
        Ok(complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let RsyncSettings { synchronisations } = context.settings();
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
        let mut spec = contained("sqlite3_rsync", context.tools, context.destination, &script)?;
        let live = context.subject.data().parent().expect("a database lies in a directory");
        // A reader of a database in WAL mode writes to the WAL index.
        spec.mounts.push(Mount { host: live.to_owned(), container: LIVE.into(), read_only: false });
        context.watch.contain(spec)?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)
    }
}
