//! `mysql-dump`: `mysqldump | zstd`, loaded back with `zstd -dc | mysql` into a fresh server.

use engines::mysql::server::ARTIFACT;
use serde::{Deserialize, Serialize};

use crate::halt::Halt;
use crate::mysql_tools::{has_binary_log, options, pipeline};
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete,
};

pub struct MysqlDump;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DumpSettings {
    consistency: Consistency,
    level: u32,
}

impl Default for DumpSettings {
    fn default() -> Self {
        DumpSettings { consistency: Consistency::SingleTransaction, level: 3 }
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

impl Strategy for MysqlDump {
    fn card(&self) -> Card {
        Card {
            name: "mysql-dump",
            summary: "mysqldump | zstd, restored with mysql",
            engines: &["mysql"],
            kind: Kind::Logical,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; does not block writers",
                keeps: Keeps::Earlier,
            },
            settings: &[
                (
                    "consistency",
                    "\"single-transaction\"; \"lock-tables\": blocks writers; \"none\": each table at the moment when \
                     it is dumped, which is not consistent",
                ),
                ("level", "compression level of zstd, from 1 to 19"),
            ],
            tools: &[],
            contained: true,
            cost: Cost { backup: 3.0, restore: 40.0 },
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
        let server = context.subject.server_mut()?;
        let database = &server.address().database;
        let script = format!(
            "mysqldump {} {} --set-gtid-purged=OFF --routines --triggers --events {database} \
             | zstd --quiet -{} -o {ARTIFACT}/{ARTIFACT_FILE}",
            options(),
            settings.consistency.arguments(has_binary_log(server)?),
            settings.level,
        );
        let spec = pipeline("mysqldump", context.tools, server, context.destination, &script)?;
        // The compressed size is unknown.
        context.watch.expected_bytes = None;
        context.watch.contain(spec)?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        let server = context.subject.server_mut()?;
        server.start()?;
        let database = &server.address().database;
        let script =
            format!("zstd --quiet -d -c {ARTIFACT}/{ARTIFACT_FILE} | mysql {} {database}", options());
        let spec = pipeline("mysql", context.tools, server, context.artifact, &script)?;
        context.watch.contain(spec)
    }
}
