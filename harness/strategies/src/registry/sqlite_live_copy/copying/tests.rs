use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// Small chunks, so that a small file has many.
const MANNER: Manner = Manner {
    bytes_per_second: 0,
    chunk_bytes: ALIGNMENT,
    method: Method::Direct,
    queue_depth: 3,
    sync_every_bytes: 0,
};

/// Not in the temporary directory, which may be in memory.
fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
}

fn copy(source: &Path, target: &Path, log: Option<Header>, manner: Manner, report: &mut dyn FnMut(Progress)) {
    let files = CopyLiveFiles { source: source.to_owned(), target: target.to_owned(), log, manner };
    files.run(report).unwrap();
}

#[test]
fn the_copy_has_the_same_bytes_whatever_the_method_and_the_length() {
    let place = place();
    let (source, target) = (place.path().join("source"), place.path().join("target"));
    for bytes in [0, 1, 512, 4096, 40_960, 50_000] {
        let content: Vec<u8> = (0..bytes).map(|byte: u32| (byte % 251) as u8).collect();
        std::fs::write(&source, &content).unwrap();
        for (method, sync_every_bytes) in
            [(Method::Direct, 0), (Method::Direct, 10_000), (Method::CopyFileRange, 0)]
        {
            copy(&source, &target, None, Manner { method, sync_every_bytes, ..MANNER }, &mut |_| {});
            assert!(
                std::fs::read(&target).unwrap() == content,
                "{bytes} bytes by {method:?}, {sync_every_bytes}"
            );
            std::fs::remove_file(&target).unwrap();
        }
    }
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let place = place();
    let (source, target) = (place.path().join("source"), place.path().join("target"));
    std::fs::write(&source, vec![1; 10 * ALIGNMENT]).unwrap();
    let files = CopyLiveFiles {
        source: source.clone(),
        target,
        log: None,
        manner: Manner { queue_depth: 1, ..MANNER },
    };
    let shorten = || File::options().write(true).open(&source).unwrap().set_len(ALIGNMENT as u64).unwrap();
    // The first parts may have been copied before the first report arrives, but not all.
    let slow = Manner { bytes_per_second: 100 * ALIGNMENT as u64, ..files.manner };
    let error = CopyLiveFiles { manner: slow, ..files }.run(&mut |_| shorten()).unwrap_err();
    assert_eq!(format!("{error:#}"), "cannot copy the database: failed to fill whole buffer");
}

/// A database whose log has 60 commits, all of them checkpointed, so that a reader does not need the log and does not
/// prevent that it is reset.
fn checkpointed(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let sql = "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, n, pad); \
               WITH RECURSIVE ids (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < 40) \
               INSERT INTO t SELECT id, 0, printf('%.3000c', 'x') FROM ids; PRAGMA wal_checkpoint(TRUNCATE)";
    connection.execute_batch(sql).unwrap();
    for commit in 0..60 {
        connection.execute("UPDATE t SET n = n + 1 WHERE id = 1 + ?1 % 40", [commit]).unwrap();
    }
    connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    connection
}

/// Copies a live database while a read transaction is held and the log is truncated in the middle of its copy. Returns
/// what SQLite says of the copy, and how many of the 60 commits are in it.
fn copied_while_the_log_is_truncated(header: Header) -> (String, i64) {
    let place = place();
    let (source, target) = (place.path().join("live"), place.path().join("copy"));
    let application = checkpointed(&source);
    let reader = Connection::open(&source).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
    let log = beside(&target, "-wal");
    let half = storage::bytes(&beside(&source, "-wal")) / 2;
    let mut truncated = false;
    copy(&source, &target, Some(header), MANNER, &mut |_| {
        if !truncated && storage::bytes(&log) >= half {
            application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            truncated = true;
        }
    });
    assert!(truncated, "the log was not truncated");
    assert_eq!(storage::bytes(&beside(&source, "-wal")), 0, "the reader did not prevent it");
    let copy = Connection::open(&target).unwrap();
    let integrity = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    (integrity, copy.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)).unwrap())
}

#[test]
fn commits_that_are_only_in_the_log_are_copied_with_it() {
    let place = place();
    let (source, target) = (place.path().join("live"), place.path().join("copy"));
    let application = checkpointed(&source);
    application.execute_batch("UPDATE t SET n = n + 1 WHERE id = 1").unwrap();
    copy(&source, &target, Some(Header::Last), MANNER, &mut |_| {});
    let copy = Connection::open(&target).unwrap();
    assert_eq!(copy.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)), Ok(61));
}

#[test]
fn a_log_that_is_truncated_during_its_copy_loses_nothing_if_its_header_is_copied_last() {
    assert_eq!(copied_while_the_log_is_truncated(Header::Last), ("ok".into(), 60));
}

#[test]
fn with_its_header_first_acknowledged_commits_are_lost_without_a_trace() {
    let (integrity, commits) = copied_while_the_log_is_truncated(Header::First);
    assert_eq!(integrity, "ok");
    assert!(commits < 60, "{commits}");
}
