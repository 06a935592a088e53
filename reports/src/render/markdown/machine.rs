//! The machine, its best performance, and the overhead of the harness over a plain copy.

use super::text::plain;
use crate::compare::Spread;
use crate::record::{Calibration, Machine, Results, Trial};
use crate::render::{conditions, number, table::Table};

/// The strategy that does the same as the copy of the calibration. Only this one shows the overhead of the harness,
/// and only where the copy alone takes time: a server or a container must be stopped first, which also takes time.
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
    blocks.extend(other_machines(results));
    if results.run.calibration.is_empty() {
        blocks.push("This run has no calibration.".to_string());
    } else {
        blocks.push("Best performance of this machine, measured during this run:".to_string());
        blocks.push(calibration(&results.run.calibration).markdown());
    }
    blocks.extend(plain_copy_check(results));
    blocks.extend(cold_source_check(results));
    blocks
}

/// The warning for a run that was merged from shards of different machines.
fn other_machines(results: &Results) -> Option<String> {
    let machines = &results.run.machines;
    (!machines.is_empty()).then(|| {
        let line = |machine: &Machine| {
            let host = &machine.host;
            let trials: Vec<String> = machine.trials.iter().map(|id| plain(id)).collect();
            format!("- {}, {} logical processors: {}", plain(&host.cpu), host.cpus, trials.join(", "))
        };
        format!(
            "**The trials ran on different machines.** Compare copy speeds, not absolute times:\n\n{}",
            machines.iter().map(line).collect::<Vec<_>>().join("\n")
        )
    })
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
    Table::of_texts(header, measured.iter().map(row).collect())
}

/// A plain copy by the harness compared with a plain copy without it: it shows the overhead of the harness.
fn plain_copy_check(results: &Results) -> Option<String> {
    let ratios: Vec<f64> = results
        .trials
        .iter()
        .filter(|trial| trial.strategy == PLAIN_COPY && trial.engine == "sqlite" && trial.app == "embedded")
        .filter_map(|trial| {
            let backup = trial.backup.as_ref()?;
            Some(backup.seconds? / backup.copy_seconds?).filter(|ratio| ratio.is_finite())
        })
        .collect();
    let median = Spread::of(ratios.iter().copied())?.median;
    let each: Vec<String> = ratios.iter().map(|ratio| number::ratio(*ratio)).collect();
    let median = if each.len() > 1 { format!(" (median {})", number::ratio(median)) } else { String::new() };
    Some(format!(
        "Overhead of the harness: the backup time of {PLAIN_COPY} divided by the time of the `cp` and fsync right before \
         the same trial was {}{median}. A value near 1 means no overhead; the spread shows how stable the disk was.",
        each.join(", ")
    ))
}

/// Evidence that a database with a cold page cache was really read from the disk.
fn cold_source_check(results: &Results) -> Option<String> {
    let cold: Vec<&Trial> = results.trials.iter().filter(|trial| trial.workload.cache == "cold").collect();
    let shares = Spread::of(cold.iter().filter_map(|trial| trial.workload.cached_share))?;
    let read = |trial: &&Trial| {
        let backup = trial.backup.as_ref()?;
        let read = backup.bytes_read_from_disk? as f64;
        let of_source = 100.0 * read / trial.dataset.bytes as f64;
        Some(format!("{} {of_source:.0} % at {}", conditions::strategy(trial), speed(read / backup.seconds?)))
    };
    let reads: Vec<String> = cold.iter().filter_map(read).collect();
    let reads = if reads.is_empty() {
        String::new()
    } else {
        format!(
            " Read from disk during the backup, as a share of the database: {}. The sequential read above is the upper \
             limit of this disk.",
            reads.join("; ")
        )
    };
    Some(format!(
        "Cold page cache: when a backup began, at most {:.1} % of the database was cached.{reads}",
        shares.max * 100.0
    ))
}

fn speed(bytes_per_second: f64) -> String {
    number::or_missing(Some(bytes_per_second), |speed| format!("{}/s", number::bytes(speed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict;

    #[test]
    fn a_server_that_must_be_stopped_first_does_not_show_the_overhead_of_the_harness() {
        let mut on_a_server = example::trial(PLAIN_COPY, Verdict::Restorable);
        on_a_server.engine = "mysql".into();
        assert_eq!(plain_copy_check(&example::results(vec![on_a_server.clone()])), None);
        let on_a_file = example::trial(PLAIN_COPY, Verdict::Restorable);
        let alone = plain_copy_check(&example::results(vec![on_a_file.clone()]));
        assert!(alone.is_some());
        assert_eq!(plain_copy_check(&example::results(vec![on_a_file, on_a_server])), alone);
    }
}
