//! Speed of generating a dataset durably in the temporary directory.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engines::sqlite::dataset::predicted;
use engines::sqlite::generate;
use model::dataset::{DatasetSpec, original_torrents};

fn generate(criterion: &mut Criterion) {
    let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 64 << 20, seed: 1 };
    let bytes = predicted(&spec).expect("a known profile").bytes;
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let path = directory.path().join("database.sqlite");

    let mut group = criterion.benchmark_group("dataset");
    group.sample_size(20).throughput(Throughput::Bytes(bytes));
    group.bench_function("generate 64 MiB", |bencher| {
        // Removing the file of the previous iteration is not measured.
        let remove = || std::fs::remove_file(&path).ok();
        let generate = |_| {
            generate::generate(&spec, &path, &|| false, &mut |_| {}).expect("enough space for the dataset")
        };
        bencher.iter_batched(remove, generate, BatchSize::PerIteration);
    });
    group.finish();
}

fn torrent(criterion: &mut Criterion) {
    let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 16 << 30, seed: 1 };
    let original = original_torrents(&spec).expect("a known profile");
    let mut id = 0;

    let mut group = criterion.benchmark_group("dataset");
    group.throughput(Throughput::Elements(1));
    group.bench_function("torrent of 16 GiB", |bencher| {
        bencher.iter(|| {
            id = id % original.torrents() + 1;
            original.torrent(id)
        });
    });
    group.finish();
}

criterion_group!(benches, generate, torrent);
criterion_main!(benches);
