//! The end of the report: how to reproduce it, how to read it, and its limitations.

use std::collections::{BTreeMap, BTreeSet};

use super::summary;
use super::text::{code_block, plain};
use crate::compare::groups;
use crate::record::{Results, Trial};
use crate::render::{number, table::Table};

/// A cold page cache may contain up to this share of the database: the writes before the backup load pages.
const CACHED_WHEN_COLD: f64 = 0.1;

/// A warm page cache contains at least this share of the database.
const CACHED_WHEN_WARM: f64 = 0.9;

/// Explanations of the columns, in the order in which the comparison shows them.
const COLUMNS: &str = "\
- **Verdict**: `restorable`: the restored database is correct. `lossy`: it is a consistent earlier state, but writes are missing that the strategy promises to keep. `corrupt`: the strategy reported success and the restored database is wrong. `stalled`: the backup stopped making progress and was ended. `timed out`: the backup was incomplete at the deadline. `failed`: the strategy reported an error. `unavailable`: a tool or privilege is missing on this machine. `inconclusive` (`unverified` in records): the trial proved nothing. Of several trials, the worst verdict is shown. \"Not challenged\": nothing happened during the backup that makes an unsafe backup wrong. A negative control is unsafe on purpose and shows that the checks find damage.
- **Backup**: time from the call until the artifact is durable, fsync included.
- **Blocked**: total time during the backup in which no write could be acknowledged, because the application was stopped, or because writes waited and none was acknowledged for 0.1 s or more. **Longest blocked**: the longest single such time. **Downtime**: the part of it in which the application was stopped on purpose.
- **Loss**: data loss at backup completion (RPO floor): the time from the newest write in the backup until the backup was complete. **Loss at disaster**: the same until the disaster, so it includes the time that this scenario waits after the backup. **Writes lost**: the number of acknowledged writes lost in each case. With a backup every N minutes, from start to start, the worst loss is N minutes plus this floor.
- **Recovery**: recovery time (RTO, measured), from the disaster until the restored application has answered one read and one write.
- **Size**: size of the artifact that must be kept.
- **Survives disk loss**: whether the backup can be kept on another disk than the database.
- **Copy speed**: the time of a plain `cp` and fsync of the same bytes right before the trial, divided by the backup time. 1.0 is as fast as `cp`, 0.5 takes twice as long. To compare machines, use this ratio, not seconds.
- **Max write latency** and **p99 write latency**: without a backup (baseline) → during the backup, counted from when a write was due, so time in a queue is included.
- **Memory** and **CPU time**: of the strategy's processes (memory of the largest one). **Written (logical)**: what they passed to write calls. **Written to disk**: what the kernel sent to a block device by the end of the backup.
- A dash means that the value was not measured. \"a (b to c)\" is the median with the range over repetitions.
- KiB, MiB and GiB are powers of 1024; /s is per second.";

/// The sections on reproducing, reading and limitations.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let mut blocks = vec![
        "## How to reproduce".to_string(),
        code_block(&results.run.command, "sh", ""),
        format!(
            "The same seed ({}) gives the same datasets, writes and arrivals. Harness {}.",
            results.run.seed,
            plain(&results.run.harness_version)
        ),
    ];
    let versions = versions(&results.trials);
    if !versions.is_empty() {
        blocks.push(versions.markdown());
    }
    blocks.extend([
        "## How to read this report".to_string(),
        COLUMNS.to_string(),
        "## Limitations".to_string(),
    ]);
    blocks.push(limitations(results).map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n"));
    blocks
}

/// Every tool that took part, with all its versions in the run.
fn versions(trials: &[Trial]) -> Table {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tool, version) in trials.iter().flat_map(|trial| &trial.versions) {
        versions.entry(tool).or_default().insert(version);
    }
    let rows = versions
        .into_iter()
        .map(|(tool, versions)| vec![tool.to_string(), versions.into_iter().collect::<Vec<_>>().join(", ")]);
    Table::of_texts(["Tool", "Version"], rows.collect())
}

/// The limitations of the run, one or two sentences each.
fn limitations(results: &Results) -> impl Iterator<Item = String> {
    let trials = &results.trials;
    [
        Some(
            "One machine, with a disk and processors that others may use as well: compare verdicts and copy speeds, \
             not seconds."
                .to_string(),
        ),
        repetitions(trials),
        datasets(trials),
        applications(trials),
        Some(
            "The disaster is a SIGKILL of the application and of all replication processes, with the loss of the data \
             directory. It is not a power cut: data in the kernel's memory survives."
                .to_string(),
        ),
        trials.iter().all(|trial| trial.fault.is_none()).then(|| {
            "No other fault was tested: no full disk, no broken network, no damaged artifact.".to_string()
        }),
        page_cache(trials),
        never_measured(trials),
    ]
    .into_iter()
    .flatten()
}

fn repetitions(trials: &[Trial]) -> Option<String> {
    let sizes = groups(trials).iter().map(|group| group.trials.len()).collect::<Vec<_>>();
    let (fewest, most) = (*sizes.iter().min()?, *sizes.iter().max()?);
    // Too few repetitions are reported at the top.
    (fewest >= summary::REPETITIONS_MIN).then(|| match (fewest, most) {
        (fewest, most) if fewest == most => {
            format!("Every row is based on {most} trials. Rare damage may not have occurred.")
        }
        (fewest, most) => {
            format!("Each row is based on {fewest} to {most} trials. Rare damage may not have occurred.")
        }
    })
}

fn datasets(trials: &[Trial]) -> Option<String> {
    let profiles: BTreeSet<&str> = trials.iter().map(|trial| trial.dataset.profile.as_str()).collect();
    let smallest = trials.iter().map(|trial| trial.dataset.bytes).min()?;
    let largest = trials.iter().map(|trial| trial.dataset.bytes).max()?;
    let sizes = if smallest == largest {
        number::bytes(largest as f64)
    } else {
        format!("{} to {}", number::bytes(smallest as f64), number::bytes(largest as f64))
    };
    if profiles.iter().all(|profile| *profile == "own-database") {
        return Some(format!(
            "The data is a copy of one existing database with the tables that the workload writes to, {sizes} in all. \
             Other content was not tested."
        ));
    }
    Some(format!(
        "The data is generated ({}), {sizes}. Larger databases were not tested, and data that compresses differently \
         gives other artifact sizes.",
        profiles.iter().map(|profile| plain(profile)).collect::<Vec<_>>().join(", ")
    ))
}

fn applications(trials: &[Trial]) -> Option<String> {
    let all_embedded = !trials.is_empty() && trials.iter().all(|trial| trial.app == "embedded");
    all_embedded.then(|| {
        "The application is the harness's own writer with the tracker's schema, not the tracker itself."
            .to_string()
    })
}

/// Trials whose page cache was not in the state that the scenario asks for.
fn page_cache(trials: &[Trial]) -> Option<String> {
    let off = trials.iter().filter(|trial| {
        let workload = &trial.workload;
        workload.cached_share.is_some_and(|share| match workload.cache.as_str() {
            "cold" => share > CACHED_WHEN_COLD,
            _ => share < CACHED_WHEN_WARM,
        })
    });
    let count = off.count();
    (count > 0).then(|| {
        format!(
            "In {} of {} trials the page cache was not in the requested state when the backup began: more than {} of the \
             database was cached although `cold` was requested, or less than {} although `warm` was.",
            count,
            trials.len(),
            number::percent(CACHED_WHEN_COLD),
            number::percent(CACHED_WHEN_WARM)
        )
    })
}

/// Measurements that no trial of the run has.
fn never_measured(trials: &[Trial]) -> Option<String> {
    type Has = fn(&Trial) -> bool;
    let measurements: [(&str, Has); 5] = [
        ("write latency during a backup", |trial| {
            trial
                .impact
                .as_ref()
                .is_some_and(|impact| impact.during.as_ref().is_some_and(|during| during.p99_ms.is_some()))
        }),
        ("blocked time", |trial| {
            trial.impact.as_ref().is_some_and(|impact| impact.blocked_seconds.is_some())
        }),
        ("recovery time", |trial| {
            trial.restore.as_ref().is_some_and(|restore| restore.recovery_seconds.is_some())
        }),
        ("data loss", |trial| trial.recovery_point.is_some()),
        ("memory of the strategy", |trial| trial.resources.strategy.memory_bytes_max.is_some()),
    ];
    let missing: Vec<&str> =
        measurements.iter().filter(|(_, has)| !trials.iter().any(has)).map(|(name, _)| *name).collect();
    (!trials.is_empty() && !missing.is_empty())
        .then(|| format!("Not measured in any trial: {}.", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::limitations;
    use crate::example;
    use crate::record::Verdict::*;

    #[test]
    fn limitations_follow_from_what_the_run_did() {
        let mut trials = vec![example::trial("one-step", Restorable), example::trial("shell", Unverified)];
        let said =
            |trials: &[_]| limitations(&example::results(trials.to_vec())).collect::<Vec<_>>().join("\n");
        assert!(!said(&trials).contains("Rare damage"));
        assert!(said(&trials).contains("No other fault was tested"));
        assert!(!said(&trials).contains("page cache") && !said(&trials).contains("Not measured"));

        let repeated = vec![trials[0].clone(); 3];
        assert!(
            said(&repeated).contains("Every row is based on 3 trials. Rare damage may not have occurred.")
        );

        trials.remove(0);
        trials[0].fault = Some(crate::record::Fault::default());
        trials[0].app = "tracker".into();
        trials[0].workload.cached_share = Some(0.5);
        let said = said(&trials);
        assert!(said.contains("In 1 of 1 trials the page cache was not in the requested state"));
        assert!(said.contains(
            "Not measured in any trial: write latency during a backup, blocked time, recovery time"
        ));
        assert!(!said.contains("No other fault was tested") && !said.contains("harness's own writer"));
        trials[0].dataset.profile = "own-database".into();
        let of_an_own_one = limitations(&example::results(trials)).collect::<Vec<_>>().join("\n");
        assert!(of_an_own_one.contains("a copy of one existing database"), "{of_an_own_one}");
        assert!(!of_an_own_one.contains("generated"));
    }
}
