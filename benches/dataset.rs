//! Generating a dataset durably, beside a raw write of as many bytes; computing its rows, beside a copy of them in memory.

use bytesize::ByteSize;
use engines::sqlite::dataset::predicted;
use engines::sqlite::generate::generate;
use model::dataset::{DatasetSpec, original_torrents};

use super::beside::{Scale, compare, compare_with_memory, place, raw_write, time};

pub fn run(scale: Scale) {
    let target_bytes = scale.of(1 << 30, 8 << 20);
    let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes, seed: 1 };
    let bytes = predicted(&spec).unwrap().bytes;
    let place = place();
    let (ours, raw) = (place.path().join("database.sqlite"), place.path().join("raw"));
    compare(
        &format!("generating {}", ByteSize(bytes)),
        "a raw write",
        scale,
        || {
            // Removing the file of the previous round is not measured.
            let _ = std::fs::remove_file(&ours);
            time(|| generate(&spec, &ours, &|| false, &mut |_| {}).unwrap())
        },
        || raw_write(&raw, bytes),
    );

    let original = original_torrents(&spec).unwrap();
    let count = original.torrents().min(scale.of(1_000_000, 1_000));
    let rows = || (1..=count).map(|id| original.torrent(id).info_hash.len() as u64).sum();
    let bytes = rows();
    compare_with_memory(&format!("computing {count} torrents"), bytes, scale, || time(rows));
}
