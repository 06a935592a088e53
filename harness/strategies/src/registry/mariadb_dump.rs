//! `mariadb-dump`: `mariadb-dump | zstd`, loaded back with `zstd -dc | mariadb` into a fresh server.

use engines::mariadb;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::mysql_tools::{CONSISTENCY, Consistency, LEVEL, check_level, dump, load};

inventory::submit! { StrategyEntry::of::<MariadbDump>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MariadbDump {
    consistency: Consistency,
    level: u32,
}

impl Default for MariadbDump {
    fn default() -> Self {
        MariadbDump { consistency: Consistency::SingleTransaction, level: 3 }
    }
}

const ARTIFACT_FILE: &str = "dump.sql.zst";

impl Definition for MariadbDump {
    const CARD: Card = Card {
        name: "mariadb-dump",
        summary: "mariadb-dump | zstd, restored with mariadb",
        family: Family::Logical,
        on: &[OnEngine { engine: "mariadb", tools: &[], image: Some(&mariadb::IMAGE) }],
        settings: &[CONSISTENCY, LEVEL],
        cost: Cost { backup: 3.0, restore: 40.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        check_level(self.level)
    }
}

impl Strategy for MariadbDump {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let arguments = self.consistency.arguments(context.subject.server_mut()?, "--master-data=2")?;
        dump(context, "mariadb-dump", &arguments, self.level, ARTIFACT_FILE)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        load(context, "mariadb", ARTIFACT_FILE)
    }
}
