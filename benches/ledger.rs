//! Recording writes, replaying them, and the latencies of a window, beside a copy of as many bytes in memory.

use std::path::Path;

use harness::trial::impact::Writes;
use machine::measure::clock::Span;
use machine::measure::storage;
use model::ledger::{Ledger, LedgerWriter};
use model::schedule::{Arrivals, Load, Pattern, Rate, Schedule};
use model::writes::{Marks, Model};

use super::beside::{Scale, compare_with_memory, place, time};

const EPOCH_NS: u64 = 1_000_000_000;
const LOAD: Load = Load { rate: Rate::Open(1000.0), arrivals: Arrivals::Poisson, pattern: Pattern::Constant };

pub fn run(scale: Scale) {
    let count = scale.of(200_000, 1_000);
    let mut schedule = Schedule::new(LOAD, 1, 0, 1);
    let due: Vec<u64> = (0..count).map(|_| EPOCH_NS + schedule.next_due_ns().unwrap()).collect();
    let place = place();
    record(place.path(), &due);
    let bytes = storage::bytes(place.path());
    let compare = |what: &str, ours: &mut dyn FnMut() -> std::time::Duration| {
        compare_with_memory(&format!("{what} {count} writes"), bytes, scale, ours);
    };

    compare("recording", &mut || {
        let place = super::beside::place();
        time(|| record(place.path(), &due))
    });
    let model = Model {
        marks: Marks::Stamps,
        seed: 1,
        writers: 1,
        rows_per_transaction: 1,
        multi_row_share: 0.0,
        torrents: 100_000,
    };
    let ledger = Ledger::open(place.path(), 1).unwrap();
    compare("replaying", &mut || {
        time(|| {
            ledger.entries().map(|(writer, index, _)| model.write(writer, index).stamped.len()).sum::<usize>()
        })
    });
    let last_ns = *due.last().unwrap();
    let writes = Writes::new(&ledger, LOAD, 1, EPOCH_NS, last_ns, &[]);
    let span = Span { from_ns: EPOCH_NS, to_ns: last_ns };
    compare("latencies of", &mut || time(|| writes.window(span)));
    compare("blocked time of", &mut || time(|| writes.blocked(span)));
}

/// Records writes that were sent when they were due, and acknowledged 0.1 ms later.
fn record(directory: &Path, due: &[u64]) {
    let mut writer = LedgerWriter::open(directory, 0).unwrap();
    for &due_ns in due {
        writer.send(due_ns, due_ns).unwrap();
        writer.acknowledge(due_ns + 100_000);
    }
}
