//! The verifier's hot paths: reading rows, recording writes, and replaying them.
//!
//! `cargo bench --bench verify`; with `-- --test` each runs once, as a smoke test.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engines::sqlite::database::of_file;
use model::dataset::{OriginalTorrents, Torrent};
use model::ledger::{Ledger, LedgerWriter};
use model::verify::{Level, Request, content_digest, verify};
use model::writes::{Key, Marks, Model, info_hash, stamp};
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_128;

const TORRENTS: u64 = 100_000;
const WRITES: u64 = 20_000;

/// A dataset without completions, with hashes as random as real ones.
struct Dataset;

impl OriginalTorrents for Dataset {
    fn torrents(&self) -> u64 {
        TORRENTS
    }

    fn torrent(&self, id: u64) -> Torrent {
        Torrent { info_hash: info_hash(xxh3_128(&id.to_le_bytes()), id as u32), completed: 0 }
    }
}

fn model() -> Model {
    Model {
        marks: Marks::Stamps,
        seed: 1,
        writers: 1,
        rows_per_transaction: 1,
        multi_row_share: 0.0,
        torrents: TORRENTS,
    }
}

fn database(directory: &Path) -> PathBuf {
    let path = directory.join("database.sqlite");
    let mut connection = Connection::open(&path).unwrap();
    let transaction = connection.transaction().unwrap();
    transaction
        .execute_batch(
            "CREATE TABLE torrents (id INTEGER PRIMARY KEY AUTOINCREMENT, info_hash TEXT NOT NULL UNIQUE,
                 completed INTEGER DEFAULT 0 NOT NULL);
             CREATE TABLE torrent_aggregate_metrics (id INTEGER PRIMARY KEY AUTOINCREMENT,
                 metric_name TEXT NOT NULL UNIQUE, value INTEGER DEFAULT 0 NOT NULL);
             INSERT INTO torrent_aggregate_metrics (metric_name) VALUES ('torrents_downloads_total');",
        )
        .unwrap();
    for id in 1..=TORRENTS {
        upsert(&transaction, &Dataset.torrent(id).info_hash, 0);
    }
    transaction.commit().unwrap();
    path
}

fn upsert(connection: &Connection, info_hash: &[u8], completed: i64) {
    let sql = "INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2)
               ON CONFLICT(info_hash) DO UPDATE SET completed = excluded.completed";
    let info_hash = std::str::from_utf8(info_hash).unwrap();
    connection.prepare_cached(sql).unwrap().execute((info_hash, completed)).unwrap();
}

/// Records and applies the writes of the workload.
fn write(database: &Path, ledger: &Path) {
    let mut connection = Connection::open(database).unwrap();
    let transaction = connection.transaction().unwrap();
    let mut writer = LedgerWriter::open(ledger, 0).unwrap();
    for index in 0..WRITES {
        for key in model().write(0, index).stamped {
            let info_hash = match key {
                Key::Dataset(id) => Dataset.torrent(id).info_hash,
                Key::New { writer, index, row } => model().new_info_hash(writer, index, row),
            };
            upsert(&transaction, &info_hash, stamp(index));
        }
        writer.send(index + 1, index + 1).unwrap();
        writer.acknowledge(index + 2);
    }
    transaction.commit().unwrap();
}

fn read_rows(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path());
    let source = of_file(&database);
    let expected = content_digest(&source, &Dataset, None, &mut |_| {}).unwrap();
    let mut group = criterion.benchmark_group("rows");
    group.sample_size(10).throughput(Throughput::Elements(TORRENTS));
    group.bench_function("content_digest", |bencher| {
        bencher.iter(|| content_digest(black_box(&source), &Dataset, None, &mut |_| {}).unwrap());
    });
    write(&database, directory.path());
    for (name, integrity) in [("verify_fast", Level::Fast), ("verify_full", Level::Full)] {
        let request = Request {
            database: source.clone(),
            ledger: directory.path().to_owned(),
            model: model(),
            expected: expected.clone(),
            integrity,
            keep_acknowledged_before_ns: Some(u64::MAX),
            lack_sent_after_ns: None,
            without_never_completed: false,
            never_written: Vec::new(),
            backup_completed_ns: Some(WRITES),
            disaster_ns: u64::MAX,
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let report = verify(black_box(&request), &Dataset, &mut |_| {}).unwrap();
                assert!(report.verification.findings.is_empty());
            });
        });
    }
    group.finish();
}

fn ledger(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("writes");
    group.sample_size(20).throughput(Throughput::Elements(WRITES));
    let append = |directory: &Path| {
        let mut writer = LedgerWriter::open(directory, 0).unwrap();
        for index in 0..WRITES {
            writer.send(index + 1, index + 1).unwrap();
            writer.acknowledge(index + 2);
        }
    };
    group.bench_function("ledger_append", |bencher| {
        let empty = || tempfile::tempdir().unwrap();
        bencher.iter_batched_ref(empty, |directory| append(directory.path()), BatchSize::PerIteration);
    });
    append(directory.path());
    group.bench_function("ledger_replay", |bencher| {
        bencher.iter(|| {
            let ledger = Ledger::open(directory.path(), 1).unwrap();
            for (writer, index, entry) in ledger.entries() {
                black_box((entry, model().write(writer, index)));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, read_rows, ledger);
criterion_main!(benches);
