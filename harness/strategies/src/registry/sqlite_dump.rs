//! `sqlite-dump`: `sqlite3 DATABASE .dump | zstd`, loaded back with `zstd -dc | sqlite3 NEW`.
//!
//! A dump that encounters an error ends with `ROLLBACK; -- due to errors`, and the command still succeeds: loading it
//! gives an empty database.

use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::sqlite_tools::{SQLITE3, ZSTD, dump, load};

inventory::submit! { StrategyEntry::of::<SqliteDump>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SqliteDump {
    level: u32,
    timeout_ms: u64,
}

impl Default for SqliteDump {
    fn default() -> Self {
        SqliteDump { level: 3, timeout_ms: 10_000 }
    }
}

const ARTIFACT: &str = "dump.sql.zst";

impl Definition for SqliteDump {
    const CARD: Card = Card {
        name: "sqlite-dump",
        summary: "sqlite3 DATABASE .dump | zstd, restored with sqlite3",
        family: Family::Logical,
        on: &[OnEngine { engine: "sqlite", tools: &[SQLITE3, ZSTD], image: None }],
        settings: &[
            ("level", "compression level of zstd, from 1 to 19"),
            ("timeout_ms", "'.timeout' in ms before '.dump'; 0: none"),
        ],
        cost: Cost { backup: 3.0, restore: 15.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        if !(1..=19).contains(&self.level) {
            return Err("level must be from 1 to 19".into());
        }
        Ok(())
    }
}

impl Strategy for SqliteDump {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; \
                   does not block writers in WAL mode, blocks them in delete mode",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let timeout = format!(".timeout {}", self.timeout_ms);
        let arguments: &[&str] = if self.timeout_ms > 0 { &[&timeout, ".dump"] } else { &[".dump"] };
        dump(context, arguments, self.level, ARTIFACT)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        load(context, ARTIFACT)
    }
}
