//! The verifier never reports damage in an honest database.

use std::cell::Cell;

use engines::mariadb::MARIADB;
use engines::mysql::connection::column;
use engines::mysql::dataset::{load, predicted};
use machine::error::Error;
use model::dataset::DatasetSpec;
use model::ledger::Outcome;
use model::verify::{Level, content_digest};
use model::writes::info_hash;

use crate::fixture::{Trial, checks, database_at, servers};

#[test]
fn a_database_right_after_its_writes_is_right() {
    for engine in servers() {
        for writers in [1, 4] {
            let trial = Trial::new(engine, &format!("honest_{writers}"), writers);
            trial.run(400);
            // Writers that share no rows do not block each other.
            assert_eq!(trial.count(|outcome| !matches!(outcome, Outcome::Acknowledged(_))), 0);
            trial.assert_right();
            trial.run(100);
            trial.client().probe().unwrap();
            trial.assert_right();
        }
    }
}

#[test]
fn the_rows_are_the_datasets_and_the_schema_is_the_trackers() {
    for engine in servers() {
        let trial = Trial::new(engine, "rows", 1);
        let tables = ["whitelist", "keys", "torrents", "torrent_aggregate_metrics"];
        let rows: i64 =
            tables.iter().map(|table| trial.number(&format!("SELECT COUNT(*) FROM `{table}`"))).sum();
        assert_eq!(rows as u64, trial.loaded.rows);
        let source = database_at(engine, &trial.address);
        let mut told = 0.0;
        let digest = content_digest(&source, trial.original.as_ref(), None, &mut |done| told = done).unwrap();
        assert_eq!((&digest, told), (&trial.loaded.content, 1.0));

        let mut server = trial.server();
        for (table, columns) in [
            ("whitelist", "id integer PRIMARY KEY AUTO_INCREMENT, info_hash VARCHAR(40) NOT NULL UNIQUE"),
            (
                "torrents",
                "id integer PRIMARY KEY AUTO_INCREMENT, info_hash VARCHAR(40) NOT NULL UNIQUE,
                 completed INTEGER DEFAULT 0 NOT NULL",
            ),
            (
                "keys",
                "`id` INT NOT NULL AUTO_INCREMENT, `key` VARCHAR(32) NOT NULL, `valid_until` INT(10), PRIMARY KEY (`id`),
                 UNIQUE (`key`)",
            ),
        ] {
            server.execute(&format!("DROP TABLE `{table}`")).unwrap();
            server.execute(&format!("CREATE TABLE `{table}` ({columns})")).unwrap();
        }
        let made = content_digest(&source, trial.original.as_ref(), None, &mut |_| {}).unwrap();
        assert_eq!(made.schema, digest.schema);
        for index in ["info_hash", "PRIMARY"] {
            let explain = format!(
                "EXPLAIN FORMAT=TRADITIONAL SELECT info_hash, id FROM whitelist FORCE INDEX ({index})"
            );
            let row = &server.query(&explain).unwrap()[0];
            let plan: Vec<String> =
                (0..row.len()).filter_map(|number| column::<Option<String>>(row, number).unwrap()).collect();
            let has = |word: &str| plan.iter().any(|one| one == word);
            // A scan of all rows reads the primary key.
            let reads = if index == "PRIMARY" { has("ALL") } else { has("index") && has("info_hash") };
            assert!(reads, "{plan:?}");
        }
    }
}

#[test]
fn a_client_reads_only_existing_torrents() {
    for engine in servers() {
        let trial = Trial::new(engine, "read", 1);
        let client = trial.client();
        client.read(&trial.original.torrent(1).info_hash).unwrap();
        assert!(client.read(&info_hash(1, 2)).is_err());
    }
}

#[test]
fn a_statement_is_prepared_once_for_each_connection() {
    for engine in servers() {
        let trial = Trial::new(engine, "prepared", 1);
        let client = trial.client();
        let mut session = client.session().unwrap();
        for index in 0..50 {
            session.write(0, index);
        }
        let statements = "SELECT {} FROM performance_schema.prepared_statements_instances AS statements
                          JOIN performance_schema.threads ON threads.THREAD_ID = OWNER_THREAD_ID
                          WHERE PROCESSLIST_DB = DATABASE() AND SQL_TEXT LIKE 'INSERT%'";
        let number = |what| trial.number(&statements.replace("{}", what));
        // The client's own connection has one too, but never used it.
        assert_eq!(number("COUNT(*)"), 2);
        let executed = number("CAST(SUM(COUNT_EXECUTE) AS SIGNED)");
        // MariaDB counts no executions.
        assert!(executed >= 50 || std::ptr::eq(engine, &MARIADB), "{executed}");
        assert_eq!(number("CAST(SUM(COUNT_REPREPARE) AS SIGNED)"), 0);
    }
}

#[test]
fn a_verification_changes_nothing() {
    for engine in servers() {
        let trial = Trial::new(engine, "unchanged", 2);
        trial.run(100);
        let state = || {
            let tables = "CHECKSUM TABLE torrents, whitelist, `keys`, torrent_aggregate_metrics";
            let sums = trial.server().query(tables).unwrap();
            let sums: Vec<i64> = sums.iter().map(|row| column(row, 1).unwrap()).collect();
            let next = "SELECT AUTO_INCREMENT FROM information_schema.TABLES
                        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'torrents'";
            (sums, trial.number(next))
        };
        let before = state();
        trial.verify(Level::Full);
        assert_eq!(state(), before);
    }
}

#[test]
fn a_server_that_does_not_answer_is_inconclusive() {
    for engine in servers() {
        let trial = Trial::new(engine, "gone", 1);
        trial.run(20);
        let mut address = trial.address.clone();
        address.port = 1;
        let report = trial.verify_at(&address, Level::Fast);
        for (name, check) in checks(&report.verification) {
            assert_eq!(check, None, "{name}: {:?}", report.verification.findings);
        }
        assert!(
            report
                .verification
                .findings
                .iter()
                .all(|line| line.contains(&format!("no {} server answers on port 1", engine.flavour.title)))
        );
        assert_eq!(report.recovery_point, None);

        let mut address = trial.address.clone();
        address.password.0.push('x');
        let report = trial.verify_at(&address, Level::Fast);
        let refused =
            format!("the {} server on port {} rejected the password of", engine.flavour.title, address.port);
        assert!(report.verification.findings.iter().all(|line| line.contains(&refused)));
        assert_eq!(report.verification.integrity, None);
    }
}

#[test]
fn a_load_can_be_stopped() {
    for engine in servers() {
        let trial = Trial::new(engine, "stopped", 1);
        trial.server().execute(&format!("DROP DATABASE {}", trial.address.database)).unwrap();
        let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 64 << 20, seed: 1 };
        let mut told = 0;
        let stop = Cell::new(false);
        let stopped = load(engine.flavour, &trial.address, &spec, &|| stop.get(), &mut |bytes| {
            told = bytes;
            stop.set(bytes > 0);
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert!(told < predicted(engine.flavour, &spec).unwrap().bytes);
        // The load may have disabled the server's redo log, which the other trials need.
        for sql in engine.flavour.loading_statements.1 {
            trial.server().execute(sql).unwrap();
        }
    }
}
