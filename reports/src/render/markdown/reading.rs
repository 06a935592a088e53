//! The end of the report: how to repeat it, how to read it, and what it does not say.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{code_block, plain, table};
use crate::compare::{Spread, groups};
use crate::record::{Results, Trial};
use crate::render::{number, table::Table};

/// A cold cache may hold this share of the database: the writes before the backup bring pages in.
const CACHED_WHEN_COLD: f64 = 0.1;

/// A warm cache holds at least this share of the database.
const CACHED_WHEN_WARM: f64 = 0.9;

/// Explanations of columns, in the order in which the comparison shows them.
const COLUMNS: &str = "\
- **Verdict**: `restorable` the restored database is right; `lossy` it is right for an earlier moment, but writes are missing that the strategy promises to keep; `corrupt` the strategy reported success and the restored database is wrong; `stalled` the backup stopped converging and was ended; `timed_out` it converged too slowly for the deadline; `failed` the strategy reported an error; `unavailable` something that it needs is not here; `unverified` the trial proved nothing. Of several trials the worst verdict is shown. A control promises nothing.
- **Backup**: from the call until the artifact is durable, fsync included. \"not in 12 s\": it never was.
- **vs copy**: the time of a plain `cp` and fsync of the same bytes right before the trial, divided by the backup time. 1 is as fast as a copy, 0.5 takes twice as long. Compare this between machines, not the times.
- **Write p99** and **Worst write**: latency of the application's writes without a backup → during the backup. It counts from when a write was due, so waiting in a queue counts. Of fewer than 100 writes in a window the p99 is the worst one.
- **Downtime**: the time in the backup window in which no write could be acknowledged: the application was stopped, or writes waited and none was answered for 0.1 s or more.
- **Lost writes** and **Lost time**: acknowledged writes that the restored database lacks, and the time from the newest write that it holds until the disaster. Writes after the end of a backup are lost to every strategy that does not ship them on.
- **Recovery**: from the disaster until the restored application has answered one read and one write.
- **Artifact**: size of what has to be kept. **Memory**: peak resident memory of the strategy's largest process.
- A dash is something that was not measured. \"a (b to c)\" is the median with the range over repetitions.
- KiB, MiB and GiB are powers of 1024; /s is per second.";

/// The sections on repeating, reading and limits.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let mut blocks = vec![
        "## How to reproduce".to_string(),
        code_block(&results.run.command, "sh", ""),
        format!(
            "The same seed ({}) plans the same datasets, writes and arrivals. Harness {}.",
            results.run.seed,
            plain(&results.run.harness_version)
        ),
    ];
    let versions = versions(&results.trials);
    if !versions.is_empty() {
        blocks.push(table(&versions));
    }
    blocks.extend(["## How to read this".to_string(), COLUMNS.to_string(), "## Limitations".to_string()]);
    blocks.push(limitations(results).map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n"));
    blocks
}

/// Every tool that took part, with all versions of it that the run saw.
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

/// What the run does not say, one sentence or two each.
fn limitations(results: &Results) -> impl Iterator<Item = String> {
    let trials = &results.trials;
    [
        Some(
            "One machine. Its disk and processors may be shared and noisy: compare ratios and verdicts, not times."
                .to_string(),
        ),
        copy_range(results),
        repetitions(trials),
        datasets(trials),
        applications(trials),
        Some(
            "The disaster is a SIGKILL of the application and the shipper, with the data directory lost. It is no \
             power cut: what the kernel had in memory was still there."
                .to_string(),
        ),
        trials.iter().all(|trial| trial.fault.is_none()).then(|| {
            "Nothing else went wrong: no full disk, no broken network, no damaged artifact.".to_string()
        }),
        page_cache(trials),
        never_measured(trials),
    ]
    .into_iter()
    .flatten()
}

/// How much the same plain copy varied: what a difference between two strategies has to exceed.
fn copy_range(results: &Results) -> Option<String> {
    let range = |copies: &Vec<f64>| {
        let spread =
            Spread::of(copies.iter().copied()).filter(|spread| spread.count > 1 && spread.min > 0.0)?;
        Some(spread.max / spread.min).filter(|range| range.is_finite())
    };
    let widest =
        results.run.calibration.iter().filter_map(|one| range(&one.copy_seconds)).max_by(f64::total_cmp)?;
    Some(format!(
        "The same plain copy took up to {} times as long at one moment as at another. Differences of that size \
         between strategies may be noise.",
        number::ratio(widest)
    ))
}

fn repetitions(trials: &[Trial]) -> Option<String> {
    let sizes = groups(trials).iter().map(|group| group.trials.len()).collect::<Vec<_>>();
    let (fewest, most) = (*sizes.iter().min()?, *sizes.iter().max()?);
    Some(match (fewest, most) {
        (1, 1) => "Every row is one trial: chance is not averaged out.".to_string(),
        (fewest, most) if fewest == most => {
            format!("Every row is {most} trials: rare damage may not have shown.")
        }
        (fewest, most) => format!("A row is {fewest} to {most} trials: rare damage may not have shown."),
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
            "The data is a copy of one database of somebody's own, with the tables that the workload writes to, {sizes} \
             in all. Other content was not tried."
        ));
    }
    Some(format!(
        "The data is generated ({}), {sizes}. Larger databases were not tried, and content that compresses \
         differently gives other artifact sizes.",
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
            "In {} of {} trials the page cache was not as asked for when the backup began: more than {} of the \
             database was in it although cold was asked for, or less than {} although warm was.",
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
        ("downtime", |trial| trial.impact.as_ref().is_some_and(|impact| impact.blocked_seconds.is_some())),
        ("recovery time", |trial| {
            trial.restore.as_ref().is_some_and(|restore| restore.recovery_seconds.is_some())
        }),
        ("lost writes", |trial| trial.recovery_point.is_some()),
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
        assert!(said(&trials).contains("Every row is one trial"));
        assert!(said(&trials).contains("Nothing else went wrong"));
        assert!(!said(&trials).contains("page cache") && !said(&trials).contains("Not measured"));

        trials.remove(0);
        trials[0].fault = Some("disk-full".into());
        trials[0].app = "tracker".into();
        trials[0].workload.cached_share = Some(0.5);
        let said = said(&trials);
        assert!(said.contains("In 1 of 1 trials the page cache was not as asked for"));
        assert!(
            said.contains(
                "Not measured in any trial: write latency during a backup, downtime, recovery time"
            )
        );
        assert!(!said.contains("Nothing else went wrong") && !said.contains("harness's own writer"));
        trials[0].dataset.profile = "own-database".into();
        let of_an_own_one = limitations(&example::results(trials)).collect::<Vec<_>>().join("\n");
        assert!(of_an_own_one.contains("one database of somebody's own"), "{of_an_own_one}");
        assert!(!of_an_own_one.contains("generated"));
    }
}
