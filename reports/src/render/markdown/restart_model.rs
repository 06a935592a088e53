//! The restart model compared with the observed backups.

use crate::advise::{Expectation, Restarting, restarting};
use crate::record::{Backup, Results};
use crate::render::{number, table::Table};

/// The restart model compared with the observed backups, both finished and unfinished ones.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let found = restarting(&results.trials);
    if found.is_empty() {
        return Vec::new();
    }
    let header = [
        "Trial",
        "One pass",
        "Commits",
        "Commits per pass",
        "Predicted",
        "Observed",
        "Restarts",
        "Discarded writes (logical)",
    ];
    let mut text = "A backup that starts again after every commit finishes only when no commit happens during one pass. \
                    With Poisson arrivals at r commits per second and a pass of T seconds, it takes (e^(rT) - 1) / r \
                    seconds on average. A single backup can take far less or far more."
        .to_string();
    if found.iter().any(|one| one.trial.workload.arrivals == "constant") {
        text += " With evenly spaced commits, chance plays no role: a pass that takes longer than the time between two \
                 commits never completes, and a shorter one completes after one restart at most.";
    }
    let rows = found.iter().map(row).collect();
    vec!["### Restart model".to_string(), text, Table::of_texts(header, rows).markdown()]
}

fn row(one: &Restarting<'_>) -> Vec<String> {
    let observed = match one.backup.seconds {
        Some(seconds) => format!("finished in {}", number::or_missing(Some(seconds), number::seconds)),
        None => {
            format!(
                "incomplete after {}",
                number::or_missing(Some(one.backup.elapsed_seconds), number::seconds)
            )
        }
    };
    vec![
        one.trial.id.clone(),
        number::or_missing(Some(one.pass_seconds), number::seconds),
        number::or_missing(Some(one.commits_per_second), number::rate),
        number::or_missing(Some(one.pass_seconds * one.commits_per_second), number::ratio),
        predicted(one.expectation),
        observed,
        number::or_missing(one.backup.restarts.map(|restarts| restarts as f64), number::count),
        number::or_missing(discarded_bytes(one.backup), number::bytes),
    ]
}

fn predicted(expectation: Expectation) -> String {
    match expectation {
        Expectation::Average(seconds) => format!("{} on average", number::seconds(seconds)),
        Expectation::AtMost(seconds) => match number::or_missing(Some(seconds), number::seconds) {
            missing if missing == number::MISSING => missing,
            shown => format!("at most {shown}"),
        },
        Expectation::Never => "never in practice".to_string(),
        Expectation::NoLaw => "no model for these arrivals".to_string(),
    }
}

/// Discarded writes (logical): bytes that a backup passed to write calls in excess of the size of its artifact.
/// Without an artifact, all of them.
pub(super) fn discarded_bytes(backup: &Backup) -> Option<f64> {
    Some(backup.bytes_written?.saturating_sub(backup.artifact_bytes.unwrap_or(0)) as f64)
}
