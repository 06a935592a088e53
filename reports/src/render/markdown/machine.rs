//! The machine, what it can do at best, and what the harness adds to a plain copy.

use super::text::{plain, table};
use crate::compare::Spread;
use crate::record::{Calibration, Results};
use crate::render::{number, table::Table};

/// The strategy that does what the calibration's copy does. Only this one shows the harness's own overhead.
const PLAIN_COPY: &str = "cold-copy";

/// The section on machine and calibration.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let host = &results.run.host;
    let mut blocks = vec![
        "## Machine and calibration".to_string(),
        format!(
            "Run on {}, kernel {}; {}, {} logical processors, {} of memory; file system {}, {} free at the start.",
            plain(&host.os),
            plain(&host.kernel),
            plain(&host.cpu),
            host.cpus,
            number::bytes(host.memory_bytes as f64),
            plain(&host.filesystem),
            number::bytes(host.free_bytes as f64)
        ),
    ];
    if results.run.calibration.is_empty() {
        blocks.push("This run has no calibration.".to_string());
    } else {
        blocks.push("What this machine can do at best, measured in this run:".to_string());
        blocks.push(table(&calibration(&results.run.calibration)));
    }
    blocks.extend(plain_copy_check(results));
    blocks
}

fn calibration(measured: &[Calibration]) -> Table {
    let header = ["Dataset", "Sequential read", "Durable write", "Durable copy", "fsync", "Hash, one core"];
    let row = |one: &Calibration| {
        let dataset_bytes = one.dataset_bytes as f64;
        let read = number::or_missing(Some(one.sequential_read_seconds), number::seconds);
        let copies = one.copy_seconds.len();
        let copy = number::spread(Spread::of(one.copy_seconds.iter().copied()), copies, number::seconds);
        vec![
            number::bytes(dataset_bytes),
            format!("{read}, {}", speed(dataset_bytes / one.sequential_read_seconds)),
            speed(one.durable_write_bytes_per_second),
            if copies > 1 { format!("{copy}, {copies} times") } else { copy },
            number::or_missing(Some(one.fsync_ms), number::milliseconds),
            speed(one.hash_bytes_per_second),
        ]
    };
    Table { header: header.map(str::to_string).to_vec(), rows: measured.iter().map(row).collect() }
}

/// A plain copy by the harness against a plain copy without it: how a reader checks the harness.
fn plain_copy_check(results: &Results) -> Option<String> {
    let ratios: Vec<f64> = results
        .trials
        .iter()
        .filter(|trial| trial.strategy == PLAIN_COPY)
        .filter_map(|trial| {
            let backup = trial.backup.as_ref()?;
            Some(backup.seconds? / backup.copy_seconds?).filter(|ratio| ratio.is_finite())
        })
        .collect();
    let median = Spread::of(ratios.iter().copied())?.median;
    let each: Vec<String> = ratios.iter().map(|ratio| number::ratio(*ratio)).collect();
    Some(format!(
        "The harness against itself: the backup time of {PLAIN_COPY}, divided by the time of the `cp` and fsync \
         right before the same trial, was {} (median {}). A value near 1 says that the harness adds nothing; \
         how far the values lie apart says how steady the disk was.",
        each.join(", "),
        number::ratio(median)
    ))
}

fn speed(bytes_per_second: f64) -> String {
    number::or_missing(Some(bytes_per_second), |speed| format!("{}/s", number::bytes(speed)))
}
