//! `sqlite-dump`: `sqlite3 DATABASE .dump | zstd`, loaded back with `zstd -dc | sqlite3 NEW`.
//!
//! A dump that meets an error writes `ROLLBACK; -- due to errors` at its end, and the command still succeeds:
//! loading it gives an empty database.

use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::tool::{SQLITE3, ZSTD};
use super::watch::Halt;
use super::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, spawn,
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
            summary: "sqlite3 DATABASE .dump | zstd, loaded back by sqlite3",
            engines: &["sqlite"],
            kind: Kind::Logical,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before it began; \
                       writers go on in WAL mode and wait in delete mode",
                keeps: Keeps::Earlier,
            },
            settings: &[
                ("level", "compression level of zstd, from 1 to 19"),
                ("timeout_ms", "'.timeout' before '.dump'; 0: none"),
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
        let mut dump = Command::new(SQLITE3.command);
        dump.arg(context.subject.data());
        if settings.timeout_ms > 0 {
            dump.arg(format!(".timeout {}", settings.timeout_ms));
        }
        dump.arg(".dump").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut dump = spawn(context.watch, dump)?;
        let mut compress = Command::new(ZSTD.command);
        compress
            .args(["--quiet", &format!("-{}", settings.level), "-o"])
            .arg(context.destination.join(ARTIFACT));
        compress.stdin(dump.take_stdout().expect("standard output is piped")).stderr(Stdio::piped());
        let compress = spawn(context.watch, compress)?;
        // How small it will get, nobody knows.
        context.watch.expected_bytes = None;
        context.watch.run(vec![dump, compress])?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        let mut decompress = Command::new(ZSTD.command);
        decompress.args(["--quiet", "-d", "-c"]).arg(context.artifact.join(ARTIFACT));
        decompress.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut decompress = spawn(context.watch, decompress)?;
        let mut load = Command::new(SQLITE3.command);
        load.arg("-bail").arg(context.subject.data());
        load.stdin(decompress.take_stdout().expect("standard output is piped"));
        load.stdout(Stdio::piped()).stderr(Stdio::piped());
        let load = spawn(context.watch, load)?;
        context.watch.run(vec![decompress, load])?;
        context.watch.make_durable()
    }
}
