//! Damage to indexes of every kind, as a user's own database may have them: both levels find it.

use std::fs;
use std::path::{Path, PathBuf};

use engines::sqlite::own::adopt;
use model::verify::Level;
use reports::record::Check;
use rusqlite::Connection;

use crate::own::Own;

const PAGE_BYTES: usize = 512;
const TABLES: &str = "
    PRAGMA page_size = 512;
    CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT, size REAL, body BLOB);
    CREATE TABLE pairs (name TEXT PRIMARY KEY, size REAL) WITHOUT ROWID;
    WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 400)
        INSERT INTO rows SELECT n, char(65 + n % 50) || (n * 7919 % 401) || ' ', n * 31 % 127 / 2.0, CAST(n * 7919 AS BLOB)
            FROM counted;
    INSERT INTO pairs SELECT name, size FROM rows;
";
const INDEXES: [&str; 11] = [
    "rows (name)",
    "rows (name COLLATE NOCASE)",
    "rows (name COLLATE RTRIM)",
    "rows (name DESC, size)",
    "rows (size)",
    "rows (body, name)",
    "rows (size, id)",
    "rows (name) WHERE size > 2",
    "rows (size * 2)",
    "rows (lower(name)) WHERE size > 2",
    "pairs (size)",
];
/// Changes of the tables that the index does not follow.
const CHANGES: [&str; 3] = [
    "DELETE FROM rows WHERE id = 77; DELETE FROM pairs WHERE name = (SELECT name FROM rows WHERE id = 76)",
    "INSERT INTO rows VALUES (1000, 'new', 9.5, x'00'); INSERT INTO pairs VALUES ('new', 9.5)",
    "UPDATE rows SET name = 'other', size = 9.25, body = x'01' WHERE id = 77;
     UPDATE pairs SET size = 9.25 WHERE name = (SELECT name FROM rows WHERE id = 76)",
];

/// A database with the index, and with what `more` adds.
fn adopted(index: &str, more: &str, level: Level) -> Own {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.sqlite");
    let sql = format!("{TABLES} CREATE INDEX kept ON {index}; {more}");
    Connection::open(&file).unwrap().execute_batch(&sql).unwrap();
    adopt(&file, 5).unwrap();
    Own::adopted(directory, file, level)
}

fn copy(own: &Own) -> PathBuf {
    let copy = own.directory.path().join("damaged.sqlite");
    fs::copy(own.directory.path().join("own.sqlite"), &copy).unwrap();
    copy
}

/// Executes `change` while the index is not in the schema.
fn without_index(database: &Path, index: &str, change: &str) {
    for sql in [
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET type = 'table', name = 'hidden', tbl_name = 'hidden', sql = 'CREATE TABLE hidden (x)'
             WHERE name = 'kept'",
        change,
        &format!(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET type = 'index', name = 'kept', tbl_name = '{}',
                 sql = 'CREATE INDEX kept ON {index}' WHERE name = 'hidden'",
            index.split(' ').next().unwrap()
        ),
    ] {
        // A new connection reads the changed schema.
        Connection::open(database).unwrap().execute_batch(sql).unwrap();
    }
}

/// Changes the bytes of the file; the change gets them with the offsets of the index's leaf pages.
fn change_leaves(database: &Path, change: impl FnOnce(&mut [u8], &[usize])) {
    let connection = Connection::open(database).unwrap();
    let mut statement =
        connection.prepare("SELECT pgoffset FROM dbstat WHERE name = 'kept' AND pagetype = 'leaf'").unwrap();
    let offsets = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    let leaves: Vec<usize> = offsets.map(|offset| offset.unwrap() as usize).collect();
    let mut bytes = fs::read(database).unwrap();
    change(&mut bytes, &leaves);
    fs::write(database, bytes).unwrap();
}

#[test]
fn an_index_that_does_not_follow_its_table_is_found() {
    for level in [Level::Full, Level::Fast] {
        for index in INDEXES {
            let own = adopted(index, "", level);
            own.after("").assert_right();
            for change in CHANGES {
                let damaged = copy(&own);
                without_index(&damaged, index, change);
                let said = own.verify(&damaged);
                // SQLite does not count the entries of a partial index: one too many is found at neither level, but the
                // row that the table lacks is.
                let is_counted = !(index.contains("WHERE") && change.starts_with("DELETE"));
                let found = if is_counted { said.integrity } else { said.content };
                assert_eq!(found, Some(Check::Fail), "{level:?} {index}: {change}: {:?}", said.findings);
            }
        }
    }
}

#[test]
fn an_index_in_another_order_is_found() {
    for level in [Level::Full, Level::Fast] {
        for index in INDEXES {
            let own = adopted(index, "", level);
            let damaged = copy(&own);
            // All entries are there, in another order.
            change_leaves(&damaged, |bytes, leaves| {
                (0..PAGE_BYTES).for_each(|byte| bytes.swap(leaves[2] + byte, leaves[5] + byte));
            });
            let said = own.verify(&damaged);
            assert_eq!(said.integrity, Some(Check::Fail), "{level:?} {index}: {:?}", said.findings);
            assert_eq!(said.content, Some(Check::Pass), "{level:?} {index}: {:?}", said.findings);
        }
    }
}

#[test]
fn an_index_is_compared_beside_one_that_only_the_application_can_compute() {
    let more = "ALTER TABLE rows ADD COLUMN long INTEGER AS (length(name)); CREATE INDEX computed ON rows (long);
                PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'length', 'own_length')";
    for level in [Level::Full, Level::Fast] {
        let own = adopted("rows (size)", more, level);
        own.after("").assert_right();
        let damaged = copy(&own);
        // The page ends with the rowid of an entry.
        change_leaves(&damaged, |bytes, leaves| bytes[leaves[3] + PAGE_BYTES - 1] ^= 1);
        let said = own.verify(&damaged);
        assert_eq!(said.integrity, Some(Check::Fail), "{level:?}: {:?}", said.findings);
        assert!(
            said.findings.iter().any(|line| line.contains("index kept")),
            "{level:?}: {:?}",
            said.findings
        );
    }
}
