//! `sqlite-dump`: `sqlite3 DATABASE .dump | zstd`, loaded back with `zstd -dc | sqlite3 NEW`.
//!
//! A dump that encounters an error ends with `ROLLBACK; -- due to errors`, and the command still succeeds: loading it
//! gives an empty database.

use machine::tool::{SQLITE3, ZSTD};
use serde::{Deserialize, Serialize};

use crate::halt::Halt;
use crate::sqlite_tools::{dump, load};
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete,
};

pub struct SqliteDump;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DumpSettings {
    level: u32,
    timeout_ms: u64,
}

impl Default for DumpSettings {
    fn default() -> Self {
        DumpSettings { level: 3, timeout_ms: 10_000 }
    }
}

const ARTIFACT: &str = "dump.sql.zst";

impl Strategy for SqliteDump {
    fn card(&self) -> Card {
        Card {
            name: "sqlite-dump",
            summary: "sqlite3 DATABASE .dump | zstd, restored with sqlite3",
            engines: &["sqlite"],
            kind: Kind::Logical,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; \
                       does not block writers in WAL mode, blocks them in delete mode",
                keeps: Keeps::Earlier,
            },
            settings: &[
                ("level", "compression level of zstd, from 1 to 19"),
                ("timeout_ms", "'.timeout' in ms before '.dump'; 0: none"),
            ],
            tools: &[SQLITE3, ZSTD],
            contained: false,
            cost: Cost { backup: 3.0, restore: 15.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<DumpSettings>(given)?;
        if !(1..=19).contains(&settings.level) {
            return Err("level must be from 1 to 19".into());
        }
        Ok(complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: DumpSettings = context.settings();
        let timeout = format!(".timeout {}", settings.timeout_ms);
        let arguments: &[&str] = if settings.timeout_ms > 0 { &[&timeout, ".dump"] } else { &[".dump"] };
        dump(context, arguments, settings.level, ARTIFACT)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        load(context, ARTIFACT)
    }
}
