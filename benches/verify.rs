//! Verifying a database with a ledger at both levels, beside a raw read of the file, both with a cold cache.

use std::path::Path;

use bytesize::ByteSize;
use engines::sqlite::client::{Statements, change};
use engines::sqlite::database::of_file;
use engines::sqlite::generate::generate;
use machine::measure::storage;
use model::dataset::{DatasetSpec, OriginalTorrents, original_torrents};
use model::ledger::LedgerWriter;
use model::verify::{Level, Request, content_digest, verify};
use model::writes::{Marks, Model};
use rusqlite::Connection;

use super::beside::{Scale, compare, place, raw_read, time};

pub fn run(scale: Scale) {
    at(Level::Fast, scale.of(1 << 30, 8 << 20), scale);
    // Some twenty times slower.
    at(Level::Full, scale.of(128 << 20, 8 << 20), scale);
}

fn at(level: Level, target_bytes: u64, scale: Scale) {
    let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes, seed: 1 };
    let place = place();
    let database = place.path().join("database.sqlite");
    let generated = generate(&spec, &database, &|| false, &mut |_| {}).unwrap();
    let original = original_torrents(&spec).unwrap();
    let source = of_file(&database);
    let expected = content_digest(&source, original.as_ref(), None, &mut |_| {}).unwrap();
    let model = Model {
        marks: Marks::Stamps,
        seed: 1,
        writers: 1,
        rows_per_transaction: 1,
        multi_row_share: 0.0,
        torrents: generated.torrents,
    };
    let writes = scale.of(20_000, 100);
    write(&database, place.path(), &model, original.as_ref(), writes);
    let request = Request {
        database: source,
        ledger: place.path().to_owned(),
        model,
        expected,
        integrity: level,
        keep_acknowledged_before_ns: Some(u64::MAX),
        lack_sent_after_ns: None,
        without_never_completed: false,
        never_written: Vec::new(),
        backup_completed_ns: Some(writes),
        disaster_ns: u64::MAX,
    };
    let ours = || {
        storage::evict(&database).unwrap();
        time(|| {
            let report = verify(&request, original.as_ref(), &mut |_| {}).unwrap();
            assert!(report.verification.findings.is_empty());
        })
    };
    let name = format!("{level:?}").to_lowercase();
    let what = format!("verifying {} at level {name}", ByteSize(generated.bytes));
    compare(&what, "a raw read", scale, ours, || raw_read(&database));
}

/// Records and applies the writes of the workload.
fn write(database: &Path, ledger: &Path, model: &Model, original: &dyn OriginalTorrents, writes: u64) {
    let connection = Connection::open(database).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    let statements = Statements::new(original.tables());
    let mut writer = LedgerWriter::open(ledger, 0).unwrap();
    for index in 0..writes {
        change(&connection, &statements, model, original, 0, index).unwrap();
        connection.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
        writer.send(index + 1, index + 1).unwrap();
        writer.acknowledge(index + 2);
    }
}
