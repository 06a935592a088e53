//! `selective`: everything except the torrents that were never completed, which are nearly all rows of a tracker's
//! database.
//!
//! On both engines it is what an operator can do with the ordinary command lines, in one transaction: the selected rows
//! and those of the other tables are of the same moment. Two consecutive dumps are not, and mysqldump cannot do it in
//! one run, because its `--where` applies to all tables, and only one of them has the column.
//!
//! A count may be below 0 here, because writes of the workload move completions between torrents. Such rows are kept.

use engines::images::TOOLS;
use engines::mysql::server::ARTIFACT;
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise,
    RestoreContext, RestoreResult, Strategy, StrategyEntry,
};
use crate::mysql_tools::{self, options, pipeline};
use crate::sqlite_tools::{SQLITE3, ZSTD, dump, load};

inventory::submit! { StrategyEntry::of::<Selective>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Selective {}

const ARTIFACT_FILE: &str = "selected.sql.zst";
/// Compression level of zstd: its default.
const LEVEL: u32 = 3;

/// The commands for `sqlite3`: a dump of the other tables, and statements that create the rest.
const SQLITE: &[&str] = &[
    ".timeout 10000",
    "BEGIN",
    ".dump whitelist keys torrent_aggregate_metrics sqlite_sequence",
    "SELECT 'BEGIN;'",
    "SELECT sql || ';' FROM sqlite_schema WHERE tbl_name = 'torrents' AND sql IS NOT NULL ORDER BY type DESC",
    ".mode insert torrents",
    "SELECT id, info_hash, completed FROM torrents WHERE completed <> 0",
    ".mode list",
    "SELECT 'COMMIT;'",
    "COMMIT",
];

/// The commands for `mysql`: statements that insert the rows into the tables from mysqldump's schema dump.
const MYSQL: &str = "
SET SESSION transaction_isolation = 'REPEATABLE-READ';
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;
SELECT 'SET autocommit = 0;';
SELECT CONCAT('INSERT INTO whitelist VALUES (', QUOTE(id), ',', QUOTE(info_hash), ');') FROM whitelist;
SELECT CONCAT('INSERT INTO `keys` VALUES (', QUOTE(id), ',', QUOTE(`key`), ',', QUOTE(valid_until), ');') FROM `keys`;
SELECT CONCAT('INSERT INTO torrent_aggregate_metrics VALUES (', QUOTE(id), ',', QUOTE(metric_name), ',', QUOTE(value),
    ');') FROM torrent_aggregate_metrics;
SELECT CONCAT('INSERT INTO torrents VALUES (', QUOTE(id), ',', QUOTE(info_hash), ',', QUOTE(completed), ');')
    FROM torrents WHERE completed <> 0;
SELECT 'COMMIT;';";

impl Definition for Selective {
    const CARD: Card = Card {
        name: "selective",
        summary: "SQL dump of everything except the torrents that were never completed, and a load of it",
        family: Family::Logical,
        on: &[
            OnEngine { engine: "mysql", tools: &[], image: Some(&TOOLS) },
            OnEngine { engine: "sqlite", tools: &[SQLITE3, ZSTD], image: None },
        ],
        settings: &[],
        cost: Cost { backup: 2.0, restore: 2.0, artifact: 1.0 },
    };
}

impl Strategy for Selective {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; leaves out the torrents that were never completed and nothing else; keeps every \
                   other write acknowledged before the backup began; blocks writers only in SQLite's delete mode",
            keeps: Keeps::Earlier,
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities { leaves_out_never_completed: true, ..Abilities::default() }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let Some(server) = context.subject.server() else {
            return dump(context, SQLITE, LEVEL, ARTIFACT_FILE);
        };
        let (options, database) = (options(), &server.address().database);
        let script = format!(
            "{{\n\
             mysqldump {options} --single-transaction --no-data --set-gtid-purged=OFF --routines --triggers --events \
             {database}\n\
             mysql {options} --batch --raw --skip-column-names --quick {database} <<'END'{MYSQL}\nEND\n\
             }} | zstd --quiet -{LEVEL} -o {ARTIFACT}/{ARTIFACT_FILE}"
        );
        let spec = pipeline("mysql", &context.equipment, server, context.destination, &script)?;
        // The compressed size is unknown.
        context.watch.expect_any_size();
        context.watch.run_container(spec)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        if context.subject.server().is_none() {
            return load(context, ARTIFACT_FILE);
        }
        mysql_tools::load(context, "mysql", ARTIFACT_FILE)
    }
}
