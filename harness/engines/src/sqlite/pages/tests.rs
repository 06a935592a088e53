//! SQLite itself checks the pages.

use std::fs;

use model::dataset::rows::FewRows;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// A table of `count` rows, with unordered texts of `width` bytes and numbers of all lengths.
fn table(count: u64, width: usize) -> Vec<Vec<Value>> {
    let row = |n: u64| {
        let text = format!("{:0>width$}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        let number = if n % 7 == 6 { Value::Null } else { Value::Integer((n as i64 - 3) << (n % 60)) };
        vec![Value::Text(text), number]
    };
    (0..count).map(row).collect()
}

const COLUMNS: &[(&str, &str)] =
    &[("sqlite", "(id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE, number INTEGER)")];

fn tables(rows: &[Vec<Value>]) -> Vec<Table> {
    let few = vec![vec![Value::Text("one".into()), Value::Integer(1)]];
    let table = |name, rows| {
        let rows = Arc::new(FewRows::new(rows));
        Table { name, columns: COLUMNS, unique: "text", rows }
    };
    vec![table("few", few), table("many", rows.to_vec())]
}

fn database(rows: &[Vec<Value>], target_bytes: u64) -> DatabasePages {
    DatabasePages::new(tables(rows), target_bytes)
}

/// The database as a file, with the pages written from the last to the first.
fn written(database: &DatabasePages) -> (TempDir, Connection) {
    let mut bytes = vec![0xff; database.bytes() as usize];
    let mut record = Record::default();
    for (place, page) in bytes.chunks_exact_mut(PAGE_BYTES).enumerate().rev() {
        database.write_page(place as u64 + 1, page, &mut record);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.sqlite");
    fs::write(&path, bytes).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA synchronous = off").unwrap();
    (directory, connection)
}

fn integrity(connection: &Connection) -> String {
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

fn read(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let number: Option<i64> = row.get(1)?;
        Ok(vec![Value::Text(row.get(0)?), number.map_or(Value::Null, Value::Integer)])
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn check(count: u64, width: usize, target_bytes: u64) {
    let rows = table(count, width);
    let database = database(&rows, target_bytes);
    check_content(&database, rows, &format!("{count} rows of {width} bytes in {target_bytes} bytes"));
}

fn check_content(database: &DatabasePages, rows: Vec<Vec<Value>>, case: &str) {
    let count = rows.len() as i64;
    let (_directory, connection) = written(database);
    assert_eq!(integrity(&connection), "ok", "{case}");
    assert_eq!(read(&connection, "SELECT text, number FROM many ORDER BY id"), rows, "{case}");
    let mut sorted = rows;
    sorted.sort_by(|a, b| format!("{:?}", a[0]).cmp(&format!("{:?}", b[0])));
    let by_index = "SELECT text, number FROM many INDEXED BY sqlite_autoindex_many_1 ORDER BY text";
    assert_eq!(read(&connection, by_index), sorted, "{case}");

    connection.execute("INSERT INTO many (text) VALUES ('zzz')", []).unwrap();
    assert_eq!(connection.last_insert_rowid(), count + 1, "{case}");
    connection.execute("DELETE FROM many WHERE id > ?1 - 3", [count]).unwrap();
    connection.execute("INSERT INTO many (text) VALUES ('yyy')", []).unwrap();
    assert_eq!(connection.last_insert_rowid(), count + 2, "ids are never reused: {case}");
    assert_eq!(integrity(&connection), "ok", "after writes: {case}");
}

#[test]
fn every_number_of_rows_around_the_boundaries_of_pages_and_levels_is_right() {
    // With rows of this length, a leaf has four rows and an interior page five children: 160 rows need four levels.
    for count in 1..160 {
        check(count, 960, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_rows_in_any_amount_of_space_are_right(count in 1..3_000u64, width in 10..970usize, loose in 0.0..3.0f64) {
        let packed = database(&table(count, width), 0).bytes();
        check(count, width, (packed as f64 * loose) as u64);
    }
}

#[test]
fn the_largest_index_uses_the_remaining_space() {
    let rows = table(2_000, 40);
    let packed = database(&rows, 0).pages();
    for more in 0..packed / 3 {
        let target = (packed + more) * PAGE_BYTES as u64;
        let pages = database(&rows, target).pages();
        assert!(pages <= packed + more && pages + 2 >= packed + more, "{pages} of {}", packed + more);
    }
}

#[test]
fn the_schema_and_the_header_are_those_that_sqlite_writes() {
    let (_ours, ours) = written(&database(&table(3, 20), 0));
    let directory = tempfile::tempdir().unwrap();
    let theirs = Connection::open(directory.path().join("database.sqlite")).unwrap();
    let columns = COLUMNS[0].1;
    theirs.execute_batch(&format!("CREATE TABLE few{columns}; CREATE TABLE many{columns}")).unwrap();
    let schema = |connection: &Connection| -> Vec<(String, String, String, Option<String>)> {
        let mut statement =
            connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(schema(&ours), schema(&theirs));
    for pragma in ["page_size", "encoding", "auto_vacuum", "user_version", "application_id", "journal_mode"] {
        let value = |connection: &Connection| -> rusqlite::types::Value {
            connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(value(&ours), value(&theirs), "{pragma}");
    }
    let free: i64 = ours.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    assert_eq!(free, 0);
}

#[test]
fn no_page_is_on_the_lock_byte() {
    let numbering = Numbering::with_lock_byte(LOCK_BYTE);
    assert_eq!(numbering.number(262_144), 262_144);
    assert_eq!(numbering.number(262_145), 262_146);
    for nth in 262_140..262_150 {
        assert_eq!(numbering.used(numbering.number(nth).into()), nth);
    }
}

/// Databases that reach the lock byte are larger than 1 GiB, unless SQLite is configured with another offset. That
/// applies to the whole process, so this test runs in a separate process.
#[test]
fn databases_around_the_lock_byte_are_right() {
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::child_with_a_low_lock_byte");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("all databases were right"), "{output}");
}

#[test]
#[ignore = "run by databases_around_the_lock_byte_are_right in a separate process"]
fn child_with_a_low_lock_byte() {
    const LOW_LOCK_BYTE: u64 = 1 << 16;
    // SAFETY: no database is open in this process, as required for moving the lock byte.
    let before = unsafe {
        rusqlite::ffi::sqlite3_test_control(rusqlite::ffi::SQLITE_TESTCTRL_PENDING_BYTE, LOW_LOCK_BYTE as u32)
    };
    assert_eq!(before as u64, LOCK_BYTE);
    let numbering = Numbering::with_lock_byte(LOW_LOCK_BYTE);
    let mut beyond = 0;
    for count in 1..120 {
        let rows = table(count, 960);
        let database = DatabasePages::with_numbering(tables(&rows), 0, numbering);
        check_content(&database, rows, &format!("{count} rows, {} pages", database.pages()));
        beyond += u32::from(database.pages() >= numbering.lock_byte_page);
    }
    assert!(beyond > 60, "only {beyond} databases reached the lock byte");
    println!("all databases were right");
}
