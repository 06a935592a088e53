//! `mysql-dump`: `mysqldump | zstd`, loaded back with `zstd -dc | mysql` into a fresh server.

use engines::images::TOOLS;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::mysql_tools::{CONSISTENCY, Consistency, LEVEL, check_level, dump, load};

inventory::submit! { StrategyEntry::of::<MysqlDump>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MysqlDump {
    consistency: Consistency,
    level: u32,
}

impl Default for MysqlDump {
    fn default() -> Self {
        MysqlDump { consistency: Consistency::SingleTransaction, level: 3 }
    }
}

const ARTIFACT_FILE: &str = "dump.sql.zst";

impl Definition for MysqlDump {
    const CARD: Card = Card {
        name: "mysql-dump",
        summary: "mysqldump | zstd, restored with mysql",
        family: Family::Logical,
        on: &[OnEngine { engine: "mysql", tools: &[], image: Some(&TOOLS) }],
        settings: &[CONSISTENCY, LEVEL],
        cost: Cost { backup: 3.0, restore: 40.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        check_level(self.level)
    }
}

impl Strategy for MysqlDump {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let consistency = self.consistency.arguments(context.subject.server_mut()?, "--source-data=2")?;
        let arguments = format!("{consistency} --set-gtid-purged=OFF");
        dump(context, "mysqldump", &arguments, self.level, ARTIFACT_FILE)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        load(context, "mysql", ARTIFACT_FILE)
    }
}
