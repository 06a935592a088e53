//! Unsafe dumps that lose data without any error: the verifier has always found them, and these tests make sure that it
//! still does.

use reports::record::Verdict;
use rusqlite::Connection;

use super::own::external;
use super::*;

/// A typical script: the shell ignores every exit status in the pipe except the last.
const DUMP: &str =
    r#"sqlite3 "$DRILL_SOURCE" ".timeout 10000" .dump | gzip > "$DRILL_DESTINATION/dump.sql.gz""#;
const LOAD: &str = r#"gunzip -c "$DRILL_ARTIFACT/dump.sql.gz" | sqlite3 "$DRILL_TARGET""#;
const LOAD_AND_BAIL: &str = r#"gunzip -c "$DRILL_ARTIFACT/dump.sql.gz" | sqlite3 -bail "$DRILL_TARGET""#;

/// Runs variants on a database of the user's own, made by `make`, or on a generated one.
fn trials(variants: &[String], make: Option<&dyn Fn(&Connection)>) -> Vec<Trial> {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, &variants.concat());
    let mut words = vec!["run".to_owned(), scenario.display().to_string()];
    if let Some(make) = make {
        let file = place.path().join("own.db");
        make(&Connection::open(&file).unwrap());
        words.extend(["--database".to_owned(), file.display().to_string()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = place.run(&words);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let trials = place.results().trials;
    place.assert_clean();
    trials
}

#[test]
fn a_dump_that_loses_a_version_or_the_end_of_a_text_is_corrupt() {
    let make = |connection: &Connection| {
        let sql = "CREATE TABLE state (id INTEGER PRIMARY KEY, key TEXT);
                   INSERT INTO state (key) VALUES ('a' || char(0) || '1'), ('a' || char(0) || '2');
                   PRAGMA user_version = 42;";
        connection.execute_batch(sql).unwrap();
    };
    let trials = trials(&[external("dump", DUMP, LOAD, "")], Some(&make));
    assert_eq!(trials[0].verdict, Verdict::Corrupt, "{}", trials[0].reason);
    let findings = trials[0].verification.as_ref().unwrap().findings.join("\n");
    assert!(findings.contains("user_version") && findings.contains("table state"), "{findings}");
}

#[test]
fn a_dump_with_statistics_that_the_restoring_sqlite_does_not_know_has_failed() {
    let make = |connection: &Connection| {
        // Like a database of a SQLite that was built with this table. Created by hand, because the bundled SQLite may
        // lack it.
        let sql = "CREATE TABLE t (a, b); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1, 2), (2, 3); ANALYZE;
                   DROP TABLE IF EXISTS sqlite_stat4;
                   CREATE TABLE stand_in (tbl, idx, neq, nlt, ndlt, sample);
                   INSERT INTO stand_in VALUES ('t', 't_a', '1', '0', '0', x'0209');
                   PRAGMA writable_schema = ON;
                   UPDATE sqlite_schema SET name = 'sqlite_stat4', tbl_name = 'sqlite_stat4',
                       sql = 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)' WHERE name = 'stand_in';";
        connection.execute_batch(sql).unwrap();
    };
    let trials = trials(&[external("dump", DUMP, LOAD_AND_BAIL, "")], Some(&make));
    assert_eq!(trials[0].verdict, Verdict::Failed, "{}", trials[0].reason);
    assert!(trials[0].reason.contains("sqlite_stat4"), "{}", trials[0].reason);
}

#[test]
fn a_dump_that_fails_unnoticed_is_never_restorable() {
    let cut = r#"{ sqlite3 "$DRILL_SOURCE" ".timeout 5000" .dump | head -c 300000; false; } | gzip > "$DRILL_DESTINATION/dump.sql.gz""#;
    // Like 'docker exec -it' under cron: the command that needs a terminal writes nothing, and the script continues.
    let terminal = r#"[ -t 0 ] && sqlite3 "$DRILL_SOURCE" .dump > "$DRILL_DESTINATION/dump.sql"
        touch "$DRILL_DESTINATION/dump.sql"; gzip "$DRILL_DESTINATION/dump.sql""#;
    let variants = [
        external("cut in the pipe", cut, LOAD, ""),
        external("cut, and loaded with -bail", cut, LOAD_AND_BAIL, ""),
        external("with a terminal", terminal, LOAD, ""),
    ];
    let trials = trials(&variants, None);
    // Depending on where the dump was cut, the restoring shell notices it or not.
    let seen = |trial: &Trial| matches!(trial.verdict, Verdict::Corrupt | Verdict::Failed);
    trials.iter().for_each(|trial| assert!(seen(trial), "{}: {}", trial.id, trial.reason));
    assert_eq!(trials[1].verdict, Verdict::Failed, "{}", trials[1].reason);
    assert_eq!(trials[2].verdict, Verdict::Corrupt, "{}", trials[2].reason);
}
