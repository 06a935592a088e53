//! The generated databases, read with SQLite.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use machine::error::Error;
use model::dataset::{FORMAT_VERSION, TARGET_BYTES_MAX, TARGET_BYTES_MIN, original_torrents};
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::sqlite::generate::generate;

const MIB: u64 = 1 << 20;

fn spec(target_bytes: u64, seed: u64) -> DatasetSpec {
    DatasetSpec { profile: "torrust-demo".into(), target_bytes, seed }
}

fn write(spec: &DatasetSpec, path: &Path) -> Generated {
    generate(spec, path, &|| false, &mut |_| {}).unwrap()
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn assert_near(bytes: u64, target: u64) {
    let share = bytes as f64 / target as f64;
    assert!((0.98..=1.02).contains(&share), "{bytes} bytes for a target of {target}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sqlite_accepts_any_size_and_seed(target in MIB..6 * MIB, seed: u64) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.sqlite");
        let spec = spec(target, seed);
        let generated = write(&spec, &path);
        prop_assert_eq!(generated, predicted(&spec).unwrap());
        prop_assert_eq!(fs::metadata(&path).unwrap().len(), generated.bytes);
        assert_near(generated.bytes, target);

        let connection = Connection::open(&path).unwrap();
        prop_assert_eq!(text(&connection, "PRAGMA integrity_check"), "ok");
        prop_assert_eq!(text(&connection, "PRAGMA quick_check"), "ok");
        prop_assert_eq!(text(&connection, "PRAGMA journal_mode"), "delete");
        prop_assert_eq!(number(&connection, "SELECT count(*) FROM torrents"), generated.torrents as i64);
    }

    #[test]
    fn every_size_is_reached(exponent in 20.0..40.0f64, seed: u64) {
        let target = (exponent.exp2() as u64).clamp(TARGET_BYTES_MIN, TARGET_BYTES_MAX);
        assert_near(predicted(&spec(target, seed)).unwrap().bytes, target);
    }
}

#[test]
fn sizes_around_pages_levels_and_the_lock_byte_are_reached() {
    let gib = 1 << 30;
    let small = (0..400).map(|pages| MIB + pages * 4096);
    let levels = (20..40).flat_map(|power| [(1 << power) + 1, (1 << power) + 4095, (2 << power) - 1]);
    let lock_byte = (0..8).map(|pages| gib - 4 * 4096 + pages * 4096);
    for target in small.chain(levels).chain(lock_byte).chain([TARGET_BYTES_MAX]) {
        assert_near(predicted(&spec(target, 1)).unwrap().bytes, target);
    }
}

#[test]
fn the_content_matches_the_origin() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.sqlite");
    let spec = spec(3 * MIB + 17, 42);
    let generated = write(&spec, &path);
    let original = original_torrents(&spec).unwrap();
    assert_eq!(original.torrents(), generated.torrents);

    let connection = Connection::open(&path).unwrap();
    let mut statement =
        connection.prepare("SELECT id, info_hash, completed FROM torrents ORDER BY id").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut expected_id = 0;
    while let Some(row) = rows.next().unwrap() {
        expected_id += 1;
        let torrent = original.torrent(expected_id);
        assert_eq!(row.get::<_, i64>(0).unwrap(), expected_id as i64);
        assert_eq!(row.get::<_, String>(1).unwrap().as_bytes(), torrent.info_hash);
        assert_eq!(row.get::<_, i64>(2).unwrap(), torrent.completed);
    }
    assert_eq!(expected_id, generated.torrents);
    let sum = number(&connection, "SELECT sum(completed) FROM torrents");
    let metric = "SELECT value FROM torrent_aggregate_metrics WHERE metric_name = 'torrents_downloads_total'";
    assert_eq!(number(&connection, metric), sum);
    let tables = ["whitelist", "keys", "torrents", "torrent_aggregate_metrics"];
    let counts = tables.map(|table| number(&connection, &format!("SELECT count(*) FROM {table}")));
    assert_eq!(counts.iter().sum::<i64>(), generated.rows as i64);
    assert!(counts.iter().all(|count| *count >= 1), "{counts:?}");
}

#[test]
fn writes_continue_after_the_last_id_of_the_dataset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.sqlite");
    let generated = write(&spec(2 * MIB, 3), &path);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    for n in 1..=300u64 {
        let new = format!("{:040x}", u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64);
        connection.execute("INSERT INTO torrents (info_hash) VALUES (?1)", [new]).unwrap();
        assert_eq!(connection.last_insert_rowid() as u64, generated.torrents + n);
    }
    connection.execute("UPDATE torrents SET completed = 20000000 WHERE id % 16 = 0", []).unwrap();
    connection.execute("INSERT INTO keys (key, valid_until) VALUES ('new', 1)", []).unwrap();
    assert_eq!(text(&connection, "PRAGMA integrity_check"), "ok");
}

#[test]
fn the_bytes_depend_on_the_seed() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = |name: &str, seed| {
        let path = directory.path().join(name);
        write(&spec(5 * MIB, seed), &path);
        fs::read(path).unwrap()
    };
    let first = bytes("first", 9);
    assert!(first == bytes("again", 9), "the same seed gave other bytes");
    assert!(first != bytes("other", 10), "another seed gave the same bytes");
}

#[test]
fn the_bytes_are_those_of_this_format_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.sqlite");
    write(&spec(MIB, 1), &path);
    let digest = xxhash_rust::xxh3::xxh3_64(&fs::read(path).unwrap());
    // If this fails, cached datasets no longer match the code: increase FORMAT_VERSION.
    assert_eq!((FORMAT_VERSION, format!("{digest:016x}").as_str()), (1, "66bc9ea3b68334ea"));
}

#[test]
fn a_dataset_out_of_bounds_is_bad_input_that_names_the_limits() {
    for size in [0, MIB - 1, TARGET_BYTES_MAX + 1, u64::MAX] {
        let error = predicted(&spec(size, 1)).unwrap_err();
        assert!(matches!(error, Error::Input(_)), "{error}");
        let message = error.to_string();
        assert!(message.contains(&size.to_string()) && message.contains("1 MiB"), "{message}");
        assert!(message.contains("1 TiB"), "{message}");
    }
    let unknown = DatasetSpec { profile: "torust".into(), ..spec(MIB, 1) };
    assert!(matches!(original_torrents(&unknown), Err(Error::Input(_))));
}

#[test]
fn a_cancelled_generation_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.sqlite");
    let written = Cell::new(0);
    let result = generate(&spec(64 * MIB, 1), &path, &|| written.get() > 0, &mut |bytes| written.set(bytes));
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    assert!(written.get() > 0 && written.get() < 64 * MIB);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn progress_ends_at_the_bytes_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    let path = directory.path().join("database.sqlite");
    let generated = generate(&spec(20 * MIB, 1), &path, &|| false, &mut |bytes| steps.push(bytes)).unwrap();
    assert!(steps.is_sorted() && steps.len() > 2, "{steps:?}");
    assert_eq!(steps.last(), Some(&generated.bytes));
}

#[test]
fn places_that_cannot_be_written_to_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "kept").unwrap();
    let refused = |path: &Path| generate(&spec(MIB, 1), path, &|| false, &mut |_| {}).unwrap_err();

    let missing = refused(&directory.path().join("missing/database.sqlite"));
    assert!(matches!(missing, Error::Environment(_)), "{missing}");
    assert!(missing.to_string().contains("missing: No such file"), "{missing}");
    let below_a_file = refused(&file.join("database.sqlite"));
    assert!(below_a_file.to_string().contains("choose a path below a directory"), "{below_a_file}");

    for occupied in ["file", "journal-journal", "log-wal"] {
        fs::write(directory.path().join(occupied), "kept").unwrap();
    }
    for name in ["file", "journal", "log"] {
        let error = refused(&directory.path().join(name));
        assert!(matches!(error, Error::Input(_)), "{error}");
        assert!(error.to_string().contains("already exists: choose another path"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    let huge = generate(&spec(TARGET_BYTES_MAX, 1), &directory.path().join("huge"), &|| false, &mut |_| {});
    let message = huge.unwrap_err().to_string();
    assert!(message.contains("free") && message.contains("1.0 TiB"), "{message}");
}
