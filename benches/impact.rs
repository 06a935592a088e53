//! Latency recording: computing the histogram of a window from a ledger.
//!
//! `cargo bench --bench impact`; with `-- --test` it runs once, as a smoke test.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::trial::impact::Writes;
use machine::measure::clock::Span;
use model::ledger::{Ledger, LedgerWriter};
use model::schedule::{Arrivals, Load, Pattern, Rate, Schedule};

const WRITES: u64 = 100_000;
const EPOCH_NS: u64 = 1_000_000_000;

fn window(criterion: &mut Criterion) {
    let load = Load { rate: Rate::Open(1000.0), arrivals: Arrivals::Poisson, pattern: Pattern::Constant };
    let directory = tempfile::tempdir().unwrap();
    let mut writer = LedgerWriter::open(directory.path(), 0).unwrap();
    let mut schedule = Schedule::new(load, 1, 0, 1);
    let mut last_ns = EPOCH_NS;
    for index in 0..WRITES {
        last_ns = EPOCH_NS + schedule.next_due_ns().unwrap();
        writer.send(last_ns, last_ns).unwrap();
        writer.acknowledge(last_ns + 100_000 + index % 1_000);
    }
    let ledger = Ledger::open(directory.path(), 1).unwrap();
    let writes = Writes::new(&ledger, load, 1, EPOCH_NS, last_ns, &[]);
    let span = Span { from_ns: EPOCH_NS, to_ns: last_ns };
    let mut group = criterion.benchmark_group("impact");
    group.throughput(Throughput::Elements(WRITES));
    group.bench_function("window", |bencher| bencher.iter(|| black_box(writes.window(span))));
    group.bench_function("blocked", |bencher| bencher.iter(|| black_box(writes.blocked(span))));
    group.finish();
}

criterion_group!(benches, window);
criterion_main!(benches);
