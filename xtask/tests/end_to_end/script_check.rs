//! `check`: commands and backup files, without a scenario file.

use std::sync::atomic::{AtomicBool, Ordering};

use reports::record::Verdict;
use rusqlite::Connection;

use super::*;

const GOOD: &str = r#"sqlite3 "$DRILL_SOURCE" ".timeout 5000" "VACUUM INTO '$DRILL_DESTINATION/copy'""#;
const BACK: &str = r#"cp "$DRILL_ARTIFACT/copy" "$DRILL_TARGET""#;

/// Runs a command with wide output, so that no line is wrapped.
fn said_wide(place: &Place, words: &[&str]) -> Output {
    place.command(words).env("COLUMNS", "1000").output().unwrap()
}

#[test]
fn commands_get_an_answer_in_a_sentence_and_a_table() {
    let place = Place::shared();
    let check = |backup: &str, flags: &[&str]| {
        let words = ["check", "--backup", backup, "--restore", BACK, "--size", "4MiB"];
        let output = said_wide(&place, &[&words[..], flags].concat());
        (output.status.code(), text(&output))
    };
    // During a slow backup, writes certainly happen.
    let slowly = format!("{GOOD}; sleep 1; touch \"$DRILL_DESTINATION/copy\"");
    let (code, said) = check(&slowly, &["--repetitions", "2"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("This backup can be restored: all 2 restores were correct"), "{said}");
    let results = place.results();
    assert_eq!(results.trials.len(), 2);
    assert!(results.run.command.starts_with("cargo xtask check --backup '"), "{}", results.run.command);
    let (code, said) = check("true > \"$DRILL_DESTINATION/copy\"", &["--repetitions", "1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Do not rely on this backup: the restored database was wrong in 1 of 1"), "{said}");
    let (code, said) = check("./none.sh", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--backup: ./none.sh: No such file or directory"), "{said}");
    place.assert_clean();
}

#[test]
fn a_check_that_nothing_disturbed_proves_little() {
    let place = Place::shared();
    let words = ["check", "--backup", GOOD, "--restore", BACK, "--size", "4MiB", "--repetitions", "1"];
    // Without writes during the backup, it is not challenged.
    let output = said_wide(&place, &[&words[..], &["--rate", "0.4"]].concat());
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    place.assert_clean();
}

#[test]
fn a_backup_file_is_inspected_and_compared_with_the_live_database() {
    let place = Place::shared();
    let (backup, live) = (place.path().join("backup.db"), place.path().join("live.db"));
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); CREATE INDEX i ON t (x);
               WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
               INSERT INTO t SELECT i, hex(randomblob(20)) FROM n;";
    Connection::open(&live).unwrap().execute_batch(sql).unwrap();
    std::fs::copy(&live, &backup).unwrap();
    Connection::open(&live).unwrap().execute_batch("DELETE FROM t WHERE id > 1500").unwrap();
    let before = std::fs::read(&backup).unwrap();
    let check = |flags: &[&str]| {
        let words = ["check", "--backup-file", backup.to_str().unwrap()];
        let output = said_wide(&place, &[&words[..], flags].concat());
        (output.status.code(), text(&output))
    };
    let (code, said) = check(&["--database", live.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("is an intact database with 1 table and 2000 rows; it differs from the live"),
        "{said}"
    );
    assert!(said.contains("table t: 2000 rows in the backup, 1500 in the live database"), "{said}");
    assert!(said.contains("This inspection cannot tell which writes are missing"), "{said}");
    assert_eq!(std::fs::read(&backup).unwrap(), before, "the backup was touched");
    // A page in the wrong place.
    let mut torn = before.clone();
    let middle = (torn.len() / 8192) * 4096;
    torn.copy_within(4096..8192, middle);
    std::fs::write(&backup, &torn).unwrap();
    let (code, said) = check(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is damaged or incomplete: do not rely on it."), "{said}");
    for (content, why) in
        [("", "the file is empty"), ("no database at all", "not a SQLite database: bad file header")]
    {
        std::fs::write(&backup, content).unwrap();
        let (code, said) = check(&[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("backup.db cannot be restored: {why}")), "{said}");
    }
    std::fs::remove_file(&backup).unwrap();
    let (code, said) = check(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("backup.db: No such file or directory"), "{said}");
    place.assert_clean();
}

#[test]
fn a_database_that_is_written_to_is_copied_online() {
    let place = Place::shared();
    let own = place.path().join("own.db");
    let connection = Connection::open(&own).unwrap();
    let sql = "PRAGMA journal_mode = wal; PRAGMA synchronous = off; CREATE TABLE t (x);
               WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
               INSERT INTO t SELECT randomblob(2000) FROM n;";
    connection.execute_batch(sql).unwrap();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = 'cold-copy'\n");
    let stop = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                connection.execute("INSERT INTO t VALUES (1)", []).unwrap();
            }
        });
        let output = place.run(&["run", scenario.to_str().unwrap(), "--database", own.to_str().unwrap()]);
        stop.store(true, Ordering::Relaxed);
        output
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let trial = &place.results().trials[0];
    assert_eq!(trial.verdict, Verdict::Restorable, "{}", trial.reason);
    let remarks = trial.dataset.remarks.join("\n");
    assert!(remarks.contains("a consistent copy, made with SQLite's online backup"), "{remarks}");
    place.assert_clean();
}
