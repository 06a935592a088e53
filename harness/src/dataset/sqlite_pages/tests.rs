//! SQLite itself is the judge of the pages.

use std::fs;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// A table of `count` rows whose texts are `width` bytes long and in no order, and whose numbers have all lengths.
fn table(count: u64, width: usize) -> Vec<Vec<Value>> {
    let row = |n: u64| {
        let text = format!("{:0>width$}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        let number = if n % 7 == 6 { Value::Null } else { Value::Integer((n as i64 - 3) << (n % 60)) };
        vec![Value::Text(text), number]
    };
    (0..count).map(row).collect()
}

fn database(rows: &[Vec<Value>], target_bytes: u64) -> Database {
    let columns = "(id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE, number INTEGER)";
    let few = vec![vec![Value::Text("one".into()), Value::Integer(1)]];
    let tables = vec![
        Table { name: "few", columns, rows: Arc::new(FewRows::new(few)) },
        Table { name: "many", columns, rows: Arc::new(FewRows::new(rows.to_vec())) },
    ];
    Database::new(tables, target_bytes)
}

/// The database as a file, its pages written from the last to the first.
fn written(database: &Database) -> (TempDir, Connection) {
    let mut bytes = vec![0xff; database.bytes() as usize];
    let mut record = Record::default();
    for (place, page) in bytes.chunks_exact_mut(PAGE_BYTES).enumerate().rev() {
        database.write_page(place as u64 + 1, page, &mut record);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.sqlite");
    fs::write(&path, bytes).unwrap();
    (directory, Connection::open(path).unwrap())
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
    let (_directory, connection) = written(&database);
    assert_eq!(integrity(&connection), "ok", "{count} rows of {width} bytes in {target_bytes} bytes");
    assert_eq!(read(&connection, "SELECT text, number FROM many ORDER BY id"), rows);
    let mut sorted = rows;
    sorted.sort_by(|a, b| format!("{:?}", a[0]).cmp(&format!("{:?}", b[0])));
    let by_index = "SELECT text, number FROM many INDEXED BY sqlite_autoindex_many_1 ORDER BY text";
    assert_eq!(read(&connection, by_index), sorted);

    connection.execute("INSERT INTO many (text) VALUES ('zzz')", []).unwrap();
    assert_eq!(connection.last_insert_rowid(), count as i64 + 1);
    connection.execute("DELETE FROM many WHERE id > ?1 - 3", [count as i64]).unwrap();
    connection.execute("INSERT INTO many (text) VALUES ('yyy')", []).unwrap();
    assert_eq!(connection.last_insert_rowid(), count as i64 + 2, "ids are never given out again");
    assert_eq!(integrity(&connection), "ok", "{count} rows of {width} bytes, after writes");
}

#[test]
fn every_number_of_rows_around_the_boundaries_of_pages_and_levels_is_right() {
    // Rows this long have four to a leaf and five children to a page above: 160 of them make four levels.
    for count in 1..160 {
        check(count, 960, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_rows_in_any_room_are_right(count in 1..3_000u64, width in 10..970usize, loose in 0.0..3.0f64) {
        let packed = database(&table(count, width), 0).bytes();
        check(count, width, (packed as f64 * loose) as u64);
    }
}

#[test]
fn the_largest_index_takes_the_room_that_is_left() {
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
    let columns = "(id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE, number INTEGER)";
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
fn no_page_lies_on_the_lock_byte() {
    assert_eq!(page_number(LOCK_BYTE_PAGE - 1), 262_144);
    assert_eq!(page_number(LOCK_BYTE_PAGE), 262_146);
    for nth in LOCK_BYTE_PAGE - 2..LOCK_BYTE_PAGE + 3 {
        assert_eq!(used_pages(page_number(nth).into()), nth);
    }
}
