//! Splices each page of an older copy into a newer one: the verifier finds it, or no query is affected by it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use engines::sqlite::database::of_file;
use model::verify::{ContentDigest, Level, content_digest};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::fixture::{CopyWay, Shape, Trial, checks};

/// Tables of every kind that a file can contain.
const TABLES: &str = "
    CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE, size REAL);
    CREATE TABLE only_counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x);
    CREATE TABLE implicit (a, b);
    CREATE TABLE moved (a);
    CREATE TABLE keyed (k TEXT, v, PRIMARY KEY (k)) WITHOUT ROWID;
    CREATE TABLE large (id INTEGER PRIMARY KEY, body BLOB);
    CREATE INDEX numbered_name ON numbered (name);
    CREATE INDEX numbered_some ON numbered (size) WHERE size > 5;
    CREATE INDEX implicit_sum ON implicit (a + b);
    CREATE UNIQUE INDEX keyed_v ON keyed (v);
    CREATE VIRTUAL TABLE words USING fts5(text);
    CREATE VIRTUAL TABLE names USING fts4(name);
    CREATE VIRTUAL TABLE found USING fts5(name, content = 'numbered', content_rowid = 'id');
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
";

/// Makes different writes to all of them each time.
fn change_own_tables(connection: &Connection, time: i64) {
    let batch = format!(
        "BEGIN;
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO numbered (name, size) SELECT printf('name %d of {time}', i), i / 4.0 FROM n;
         UPDATE numbered SET size = size + {time}, name = name || '!' WHERE id % 7 = {time} % 7;
         INSERT INTO only_counted (x) VALUES (1), (2), (3);
         DELETE FROM only_counted;
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO implicit SELECT i, {time} FROM n;
         UPDATE implicit SET b = b + 1 WHERE a % 5 = 0;
         INSERT INTO moved VALUES ('{time}');
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO keyed SELECT printf('key %d of {time}', i), 100 * {time} + i FROM n;
         DELETE FROM large WHERE id % 3 = {time} % 3;
         INSERT INTO large (body) VALUES (randomblob(3000)), (zeroblob(100)), (randomblob(9000));
         INSERT INTO words VALUES ('a backup of time {time}'), ('that nobody restored');
         INSERT INTO names VALUES ('drill {time}'), ('restore');
         INSERT INTO found (found) VALUES ('rebuild');
         INSERT INTO boxes VALUES ({time}, {time}.0, 10.0);
         COMMIT;
         UPDATE moved SET rowid = rowid + 100 WHERE rowid < 100;
         ANALYZE;
         PRAGMA user_version = {time};"
    );
    connection.execute_batch(&batch).unwrap();
}

/// The results of all queries, or the first error.
fn shown(database: &Path) -> rusqlite::Result<String> {
    let connection = Connection::open(database).unwrap();
    let mut all = String::new();
    let mut show = |sql: &str| -> rusqlite::Result<()> {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        writeln!(all, "{sql}").unwrap();
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                write!(all, "{:?} ", row.get::<_, Value>(column)?).unwrap();
            }
            writeln!(all).unwrap();
        }
        Ok(())
    };
    let list = |sql: &str| -> rusqlite::Result<Vec<String>> {
        connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    };
    let mut show_all = || -> rusqlite::Result<()> {
        show("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")?;
        for pragma in ["user_version", "application_id", "encoding", "page_size", "auto_vacuum"] {
            show(&format!("PRAGMA {pragma}"))?;
        }
        for table in list("SELECT name FROM pragma_table_list WHERE schema = 'main'")? {
            // Nothing refers to rowids of internal tables, which the engine assigns.
            let numbered =
                list(&format!("SELECT name FROM pragma_table_list('{table}') WHERE wr = 0"))?.len() == 1;
            let rowid = if numbered && !table.contains("sqlite_") && !table.contains("segdir") {
                "rowid, "
            } else {
                ""
            };
            show(&format!("SELECT {rowid}* FROM \"{table}\" NOT INDEXED"))?;
        }
        for index in ["numbered_name", "keyed_v", "sqlite_autoindex_torrents_1"] {
            let table =
                list(&format!("SELECT tbl_name FROM sqlite_schema WHERE name = '{index}'"))?.remove(0);
            show(&format!("SELECT * FROM {table} INDEXED BY {index}"))?;
        }
        show("SELECT * FROM numbered INDEXED BY numbered_some WHERE size > 5")?;
        show("SELECT * FROM implicit INDEXED BY implicit_sum WHERE a + b > 0")?;
        for word in ["backup", "1", "2", "nobody", "name"] {
            show(&format!("SELECT rowid, * FROM words WHERE words MATCH '{word}'"))?;
            show(&format!("SELECT rowid, * FROM found WHERE found MATCH '{word}'"))?;
        }
        show("SELECT rowid, * FROM names WHERE names MATCH 'drill'")?;
        show("SELECT * FROM boxes WHERE x0 < 2")?;
        show("PRAGMA integrity_check")
    };
    show_all().map(|()| all)
}

/// All findings, remarks and incomplete checks for a database; empty if the verifier accepts it.
fn said(trial: &Trial, database: &Path, integrity: Level) -> Vec<String> {
    let verification = trial.verify(database, integrity, Some(u64::MAX)).verification;
    let unmade = checks(&verification).into_iter().filter(|(_, check)| check.is_none());
    let unmade: Vec<_> = unmade.map(|(name, _)| format!("{name} was not completed")).collect();
    [verification.findings, verification.remarks, unmade].concat()
}

/// A trial on a small database with this layout, with an older copy of it and a newer one.
fn copies(seed: u64, layout: &'static str) -> (Trial, Vec<u8>, std::path::PathBuf) {
    let shape =
        Shape { more_torrents: 0, writers: 2, layout, more_tables: TABLES, ..Shape::for_damage(seed) };
    let mut trial = Trial::new(&shape);
    for time in 1..=2 {
        change_own_tables(trial.live(), time);
        trial.run(40);
    }
    trial.rest(0);
    trial.rest(1);
    let older = fs::read(trial.copy("older.sqlite", CopyWay::Files).database).unwrap();
    change_own_tables(trial.live(), 3);
    trial.run(40);
    trial.rest(0);
    trial.rest(1);
    let newer = trial.copy("newer.sqlite", CopyWay::Files).database;
    // The application's writes to its own tables are a part of the expected content.
    let expected = content_digest(&of_file(&newer), &trial.dataset, Some(Level::Full), &mut |_| {});
    let ContentDigest { metric, sequence, .. } = trial.expected;
    trial.expected = ContentDigest { metric, sequence, ..expected.unwrap() };
    assert_eq!(trial.expected.remarks(), Vec::<String>::new());
    (trial, older, newer)
}

fn every_page_of(seed: u64, layout: &'static str) {
    let (trial, older, newer) = copies(seed, layout);
    let good = fs::read(&newer).unwrap();
    let page_bytes = usize::from(u16::from_be_bytes([good[16], good[17]]));
    let right = shown(&newer).expect("the newer copy is right");
    let (mut found, mut harmless) = (0, Vec::new());
    for page in 0..older.len().min(good.len()) / page_bytes {
        let bytes = page * page_bytes..(page + 1) * page_bytes;
        if older[bytes.clone()] == good[bytes.clone()] {
            continue;
        }
        let mut spliced = good.clone();
        spliced[bytes.clone()].copy_from_slice(&older[bytes]);
        fs::write(&newer, &spliced).unwrap();
        let [full, fast] = [Level::Full, Level::Fast].map(|level| said(&trial, &newer, level));
        assert!(full.is_empty() || !fast.is_empty(), "seed {seed}, {layout}: only full found {full:?}");
        for (level, said) in [(Level::Full, full), (Level::Fast, fast)] {
            if !said.is_empty() {
                found += 1;
                continue;
            }
            let shown = shown(&newer).unwrap_or_else(|error| error.to_string());
            let differs = shown.lines().zip(right.lines()).find(|(shown, right)| shown != right);
            assert!(
                differs.is_none() && shown.len() == right.len(),
                "seed {seed}, {layout}: {level:?} did not find page {}: {differs:?}",
                page + 1
            );
            harmless.push((page + 1, level));
        }
    }
    assert!(found > 60, "only {found} splices were found");
    assert!(harmless.len() < 10, "{harmless:?}");
}

#[test]
fn every_page_that_is_spliced_in_is_found_or_harmless() {
    for seed in 0..3 {
        every_page_of(seed, "PRAGMA page_size = 1024");
    }
}

#[test]
fn every_page_that_is_spliced_in_is_found_or_harmless_with_a_pointer_map() {
    for (seed, layout) in [
        (3, "PRAGMA page_size = 512; PRAGMA auto_vacuum = full"),
        (4, "PRAGMA page_size = 1024; PRAGMA auto_vacuum = incremental"),
    ] {
        every_page_of(seed, layout);
    }
}

#[test]
fn every_page_that_is_spliced_in_is_found_or_harmless_in_another_encoding() {
    every_page_of(5, "PRAGMA page_size = 1024; PRAGMA encoding = 'UTF-16le'");
}

#[test]
fn honest_copies_of_such_databases_are_not_accused() {
    for (seed, layout) in [
        (6, "PRAGMA page_size = 1024"),
        (7, "PRAGMA page_size = 512; PRAGMA auto_vacuum = full"),
        (8, "PRAGMA page_size = 4096; PRAGMA encoding = 'UTF-16be'"),
    ] {
        let (mut trial, _, newer) = copies(seed, layout);
        let of_files = said(&trial, &newer, Level::Full);
        assert_eq!(of_files, Vec::<String>::new());
        for (name, way) in [("backup.sqlite", CopyWay::Backup), ("packed.sqlite", CopyWay::VacuumInto)] {
            let copy = trial.copy(name, way).database;
            for integrity in [Level::Full, Level::Fast] {
                assert_eq!(said(&trial, &copy, integrity), Vec::<String>::new(), "{layout}: {way:?}");
            }
        }
    }
}
