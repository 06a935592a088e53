//! `mysql-dump`: `mysqldump | zstd`, loaded back with `zstd -dc | mysql` into a fresh server.

use engines::images::TOOLS;
use engines::mysql::server::ARTIFACT;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::mysql_tools::{has_binary_log, options, pipeline};

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

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Consistency {
    SingleTransaction,
    LockTables,
    None,
}

impl Consistency {
    fn arguments(self, has_binary_log: bool) -> &'static str {
        match self {
            // Recording the binary log position costs a short global lock. Point-in-time recovery starts from it.
            Consistency::SingleTransaction if has_binary_log => "--single-transaction --source-data=2",
            Consistency::SingleTransaction => "--single-transaction",
            Consistency::LockTables => "--lock-tables",
            Consistency::None => "--skip-lock-tables",
        }
    }
}

const ARTIFACT_FILE: &str = "dump.sql.zst";

impl Definition for MysqlDump {
    const CARD: Card = Card {
        name: "mysql-dump",
        summary: "mysqldump | zstd, restored with mysql",
        family: Family::Logical,
        on: &[OnEngine { engine: "mysql", tools: &[], image: Some(&TOOLS) }],
        settings: &[
            (
                "consistency",
                "\"single-transaction\"; \"lock-tables\": blocks writers; \"none\": each table at the moment when \
                 it is dumped, which is not consistent",
            ),
            ("level", "compression level of zstd, from 1 to 19"),
        ],
        cost: Cost { backup: 3.0, restore: 40.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        if !(1..=19).contains(&self.level) {
            return Err("level must be from 1 to 19".into());
        }
        Ok(())
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
        let server = context.subject.server_mut()?;
        let database = &server.address().database;
        let script = format!(
            "mysqldump {} {} --set-gtid-purged=OFF --routines --triggers --events {database} \
             | zstd --quiet -{} -o {ARTIFACT}/{ARTIFACT_FILE}",
            options(),
            self.consistency.arguments(has_binary_log(server)?),
            self.level,
        );
        let spec = pipeline("mysqldump", &context.equipment, server, context.destination, &script)?;
        // The compressed size is unknown.
        context.watch.expect_any_size();
        context.watch.run_container(spec)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        let server = context.subject.server_mut()?;
        server.start()?;
        let database = &server.address().database;
        let script =
            format!("zstd --quiet -d -c {ARTIFACT}/{ARTIFACT_FILE} | mysql {} {database}", options());
        let spec = pipeline("mysql", &context.equipment, server, context.artifact, &script)?;
        context.watch.run_container(spec)?;
        Ok(context.watch.measured())
    }
}
