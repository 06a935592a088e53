//! Damage to files: pages, bytes, lengths, journals.

use std::fs;
use std::path::Path;

use model::verify::Level;
use model::writes::{Role, role};
use reports::record::Check;
use rusqlite::Connection;

use crate::damaged_rows::assert_fails;
use crate::fixture::{CopyWay, Restored, Shape, Trial, at_both_levels, beside, failed, settle};

const SEEDS: u64 = 4;
const PAGE_BYTES: usize = 4096;
const INDEX: &str = "sqlite_autoindex_torrents_1";

fn trial(seed: u64) -> (Trial, Restored) {
    let mut trial = Trial::new(&Shape::for_damage(seed));
    trial.run(900);
    let restored = trial.copy("restored.sqlite", CopyWay::Files);
    assert_eq!(found(&trial, &restored.database), Vec::<&str>::new());
    (trial, restored)
}

/// The checks that fail at level `fast`; both levels must agree on whether there are any.
fn found(trial: &Trial, database: &Path) -> Vec<&'static str> {
    let [full, fast] = at_both_levels(trial, database).map(|verification| failed(&verification));
    assert_eq!(full.is_empty(), fast.is_empty(), "{full:?} {fast:?}");
    fast
}

/// Numbers of the pages of a table or an index, counted from 1.
fn pages_of(database: &Path, name: &str, kind: &str) -> Vec<usize> {
    let connection = Connection::open(database).unwrap();
    let mut statement = connection
        .prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2 ORDER BY pageno")
        .unwrap();
    let pages = statement.query_map([name, kind], |row| row.get::<_, i64>(0)).unwrap();
    pages.map(|page| page.unwrap() as usize).collect()
}

/// Changes the bytes of one page, and asserts that they differ afterwards.
fn change_page(database: &Path, page: usize, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(database).unwrap();
    let page = &mut bytes[(page - 1) * PAGE_BYTES..page * PAGE_BYTES];
    let before = page.to_vec();
    change(page);
    assert_ne!(before, page);
    fs::write(database, bytes).unwrap();
}

/// Position of the last digit of the last info-hash on a page.
fn last_digit(page: &[u8]) -> usize {
    let is_hash = |start: &usize| page[*start..*start + 40].iter().all(u8::is_ascii_hexdigit);
    (0..=page.len() - 40).rev().find(is_hash).expect("a page with info-hashes") + 39
}

#[test]
fn an_older_page_is_spliced_in() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(500);
        let older = fs::read(trial.copy("older.sqlite", CopyWay::Files).database).unwrap();
        trial.run(500);
        let newer = trial.copy("newer.sqlite", CopyWay::Files).database;
        let good = fs::read(&newer).unwrap();
        // On the first page, only change counters differ.
        let differ = |page: &usize| {
            let bytes = (page - 1) * PAGE_BYTES..page * PAGE_BYTES;
            older[bytes.clone()] != good[bytes]
        };
        let pages: Vec<usize> = (2..=older.len().min(good.len()) / PAGE_BYTES).filter(differ).collect();
        assert!(pages.len() > 10);
        for page in pages.into_iter().step_by(5) {
            fs::write(&newer, &good).unwrap();
            let bytes = (page - 1) * PAGE_BYTES..page * PAGE_BYTES;
            change_page(&newer, page, |old| old.copy_from_slice(&older[bytes]));
            assert_ne!(found(&trial, &newer), Vec::<&str>::new(), "seed {seed} page {page}");
        }
    }
}

#[test]
fn a_byte_of_the_index_is_flipped() {
    for seed in 0..SEEDS {
        let (trial, restored) = trial(seed);
        let pages = pages_of(&restored.database, INDEX, "leaf");
        change_page(&restored.database, pages[pages.len() / 2], |page| page[last_digit(page)] ^= 1);
        assert_fails(&trial, &restored.database, "integrity");
        // If the engine does not look up rows, only the comparison of rows and entries finds it.
        let fast = trial.verify(&restored.database, Level::Fast, None).verification;
        assert!(fast.findings.iter().all(|line| !line.contains("quick_check")), "{:?}", fast.findings);
    }
}

#[test]
fn a_byte_of_the_table_is_flipped() {
    for seed in 0..SEEDS {
        let (trial, restored) = trial(seed);
        let pages = pages_of(&restored.database, "torrents", "leaf");
        change_page(&restored.database, pages[pages.len() / 2], |page| page[last_digit(page)] ^= 1);
        assert_fails(&trial, &restored.database, "integrity");
        assert_fails(&trial, &restored.database, "content");
    }
}

/// Removes the index from the schema temporarily, so that table and index can be changed separately.
fn apart(database: &Path, change: impl FnOnce(&Connection)) {
    let edit = |sql: &str| {
        let connection = Connection::open(database).unwrap();
        connection.execute_batch("PRAGMA writable_schema = ON").unwrap();
        connection.execute_batch(sql).unwrap();
    };
    edit(&format!(
        "CREATE TABLE saved AS SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema
             WHERE name IN ('torrents', '{INDEX}');
         UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE', '      ') WHERE name = 'torrents';
         UPDATE sqlite_schema SET type = 'table', name = 'entries', tbl_name = 'entries',
             sql = 'CREATE TABLE entries (info_hash TEXT, id INTEGER, PRIMARY KEY (info_hash, id)) WITHOUT ROWID'
             WHERE name = '{INDEX}'"
    ));
    change(&Connection::open(database).unwrap());
    edit(&format!(
        "UPDATE sqlite_schema SET sql = (SELECT sql FROM saved WHERE name = 'torrents') WHERE name = 'torrents';
         UPDATE sqlite_schema SET type = 'index', name = '{INDEX}', tbl_name = 'torrents', sql = NULL
             WHERE name = 'entries'"
    ));
    edit("DROP TABLE saved");
}

#[test]
fn the_index_lacks_an_entry() {
    for seed in 0..SEEDS {
        let (trial, restored) = trial(seed);
        apart(&restored.database, |connection| {
            assert_eq!(connection.execute("DELETE FROM entries WHERE id = 77", []).unwrap(), 1);
        });
        assert_fails(&trial, &restored.database, "integrity");
        let verification = trial.verify(&restored.database, Level::Fast, None).verification;
        assert_eq!(failed(&verification), ["integrity"], "{:?}", verification.findings);
    }
}

#[test]
fn entries_of_the_index_point_to_each_others_rows() {
    for seed in 0..SEEDS {
        let (trial, restored) = trial(seed);
        apart(&restored.database, |connection| {
            let swap = "UPDATE entries SET id = 78 + 77 - id WHERE id IN (77, 78)";
            assert_eq!(connection.execute(swap, []).unwrap(), 2);
        });
        assert_fails(&trial, &restored.database, "integrity");
    }
}

#[test]
fn the_unique_constraint_is_lost_with_its_index() {
    let (trial, restored) = trial(1);
    let connection = Connection::open(&restored.database).unwrap();
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE', '') WHERE name = 'torrents';
             DELETE FROM sqlite_schema WHERE tbl_name = 'torrents' AND type = 'index';",
        )
        .unwrap();
    connection.close().unwrap();
    assert_fails(&trial, &restored.database, "content");
}

#[test]
fn the_file_is_cut_off() {
    for seed in 0..SEEDS {
        let (trial, restored) = trial(seed);
        let good = fs::read(&restored.database).unwrap();
        for bytes in [good.len() - PAGE_BYTES, good.len() - 100, good.len() / 2, PAGE_BYTES, 50, 0] {
            fs::write(&restored.database, &good[..bytes]).unwrap();
            assert_fails(&trial, &restored.database, "integrity");
        }
    }
}

#[test]
fn the_file_is_missing_or_not_a_database() {
    let (trial, restored) = trial(1);
    fs::write(&restored.database, "Error: database is locked\n".repeat(1000)).unwrap();
    assert_fails(&trial, &restored.database, "integrity");
    fs::remove_file(&restored.database).unwrap();
    assert_fails(&trial, &restored.database, "integrity");
    let verification = trial.verify(&restored.database, Level::Full, None).verification;
    assert_eq!(verification.prefix, None);
    assert_eq!(verification.content, None);
}

#[test]
fn a_page_is_zeroed() {
    for seed in 0..SEEDS {
        let (trial, restored) = trial(seed);
        let good = fs::read(&restored.database).unwrap();
        for (name, kind) in
            [("torrents", "leaf"), ("torrents", "internal"), (INDEX, "leaf"), (INDEX, "internal")]
        {
            for page in pages_of(&restored.database, name, kind).into_iter().step_by(17) {
                change_page(&restored.database, page, |page| page.fill(0));
                assert_fails(&trial, &restored.database, "integrity");
                fs::write(&restored.database, &good).unwrap();
            }
        }
    }
}

#[test]
fn two_pages_change_places() {
    for seed in 0..SEEDS {
        for name in ["torrents", INDEX] {
            let (trial, restored) = trial(seed);
            let pages = pages_of(&restored.database, name, "leaf");
            let mut bytes = fs::read(&restored.database).unwrap();
            let [first, second] = [pages[3], pages[9]].map(|page| (page - 1) * PAGE_BYTES);
            let saved = bytes[first..first + PAGE_BYTES].to_vec();
            bytes.copy_within(second..second + PAGE_BYTES, first);
            bytes[second..second + PAGE_BYTES].copy_from_slice(&saved);
            fs::write(&restored.database, bytes).unwrap();
            assert_ne!(found(&trial, &restored.database), Vec::<&str>::new(), "{name}");
        }
    }
}

#[test]
fn a_journal_is_left() {
    for suffix in ["-journal", "-wal"] {
        let (trial, restored) = trial(5);
        let journal = beside(&restored.database, suffix);
        fs::write(&journal, "").unwrap();
        assert_eq!(found(&trial, &restored.database), Vec::<&str>::new());
        fs::write(&journal, "left").unwrap();
        assert_fails(&trial, &restored.database, "integrity");
    }
}

/// Puts an older journal next to a newer copy and lets the engine replay it.
fn replay_stale(journal: &Path, restored: &Restored, suffix: &str) {
    let before = fs::read(&restored.database).unwrap();
    fs::copy(journal, beside(&restored.database, suffix)).unwrap();
    settle(&restored.database);
    assert_ne!(fs::read(&restored.database).unwrap(), before, "the journal was not replayed");
}

#[test]
fn a_stale_rollback_journal_is_replayed() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(400);
        let stale = trial.path("stale-journal");
        let other = Connection::open(trial.path("live.sqlite")).unwrap();
        // With such a small cache the engine writes pages, and therefore their journal, before the transaction ends.
        other.execute_batch("PRAGMA cache_size = 4; BEGIN IMMEDIATE").unwrap();
        other
            .execute("UPDATE torrents SET completed = completed + 1 WHERE id BETWEEN 400 AND 1400", [])
            .unwrap();
        fs::copy(trial.path("live.sqlite-journal"), &stale).unwrap();
        other.execute_batch("ROLLBACK").unwrap();
        trial.run(500);
        let restored = trial.copy("restored.sqlite", CopyWay::Files);
        replay_stale(&stale, &restored, "-journal");
        assert_ne!(found(&trial, &restored.database), Vec::<&str>::new());
    }
}

#[test]
fn a_stale_wal_is_replayed() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape { journal_mode: "wal", ..Shape::for_damage(seed) });
        trial.run(400);
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        trial.live().query_row(checkpoint, [], |_| Ok(())).unwrap();
        trial.run(40);
        let stale = trial.path("stale-wal");
        fs::copy(trial.path("live.sqlite-wal"), &stale).unwrap();
        trial.live().query_row(checkpoint, [], |_| Ok(())).unwrap();
        trial.run(500);
        let restored = trial.copy("restored.sqlite", CopyWay::Files);
        replay_stale(&stale, &restored, "-wal");
        assert_ne!(found(&trial, &restored.database), Vec::<&str>::new());
    }
}

#[test]
fn a_database_without_its_wal_is_torn_or_lossy() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape { journal_mode: "wal", ..Shape::for_damage(seed) });
        trial.run(600);
        let target = trial.path("restored.sqlite");
        fs::copy(trial.path("live.sqlite"), &target).unwrap();
        assert_ne!(found(&trial, &target), Vec::<&str>::new());
    }
}

#[test]
fn the_metric_comes_from_another_moment() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(500);
        let older = trial.copy("older.sqlite", CopyWay::Files).database;
        trial.run(500);
        let newer = trial.copy("newer.sqlite", CopyWay::Files).database;
        // A torn snapshot that passes every integrity check: one page of one table is older.
        let page = pages_of(&newer, "torrent_aggregate_metrics", "leaf")[0];
        let bytes = fs::read(older).unwrap();
        change_page(&newer, page, |old| {
            old.copy_from_slice(&bytes[(page - 1) * PAGE_BYTES..page * PAGE_BYTES])
        });
        for verification in at_both_levels(&trial, &newer) {
            assert_eq!(failed(&verification), ["transactions"]);
            assert_eq!(verification.integrity, Some(Check::Pass));
        }
    }
}

#[test]
fn damage_to_an_index_does_not_affect_the_other_checks() {
    let (trial, restored) = trial(2);
    assert_eq!(role(77), Role::Untouched);
    apart(&restored.database, |connection| {
        assert_eq!(connection.execute("DELETE FROM entries WHERE id = 77", []).unwrap(), 1);
    });
    let report = trial.verify(&restored.database, Level::Full, Some(u64::MAX));
    assert_eq!(failed(&report.verification), ["integrity"]);
    assert_eq!(report.verification.loss, Some(Check::Pass));
    assert_eq!(report.recovery_point.unwrap().lost_writes, 0);
}
