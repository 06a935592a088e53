//! The gate: decides whether a candidate is worse than a baseline, by statistics over their records alone.
//!
//! Verdicts are compared absolutely, counters tightly, times as multiples of the plain copy made right before each
//! backup. Trials of the same repetition form a pair: they had the same writes. `docs/gate.md` has the method and its
//! limits.

mod comparison;
mod contest;
mod decide;
pub mod error_rates;
mod metric;
pub mod output;
mod settings;
pub mod statistics;
pub mod thresholds;
mod verdicts;

pub use comparison::{Answer, Change, Comparison, Row};
pub use contest::{Refusal, is_variant, place_of, subject, subject_of};
pub use metric::{METRICS, Metric, Unit};
pub use settings::{INTERVAL, Settings};

use crate::machine;
use crate::record::Results;

/// Compares two runs. `same` are further runs of the baseline's version: the differences between these and the
/// baseline are noise, and a difference up to that size does not count as a change.
///
/// # Errors
/// When the runs have no trial in common, or did not have the same load.
pub fn compare(
    baseline: &Results,
    candidate: &Results,
    same: &[Results],
    settings: &Settings,
) -> Result<Comparison, Refusal> {
    compare_where(baseline, candidate, same, settings, &|_, _| true)
}

/// Compares the flagged metrics again, from new runs. Other metrics are left out.
///
/// # Errors
/// As [`compare`].
pub fn compare_flagged(
    flagged: &Comparison,
    baseline: &Results,
    candidate: &Results,
    settings: &Settings,
) -> Result<Comparison, Refusal> {
    compare_where(baseline, candidate, &[], &confirming(settings), &is_flagged(flagged))
}

/// The settings of the second round: twice the level. A false alarm must happen in both rounds, so each of them can
/// be less strict, and a real change should not be missed in one of them.
fn confirming(settings: &Settings) -> Settings {
    Settings { level: settings.level * 2.0, ..*settings }
}

fn is_flagged(first: &Comparison) -> impl Fn(&str, &str) -> bool {
    |subject, metric| first.flagged().any(|row| (row.subject.as_str(), row.metric) == (subject, metric))
}

fn compare_where(
    baseline: &Results,
    candidate: &Results,
    same: &[Results],
    settings: &Settings,
    wanted: &dyn Fn(&str, &str) -> bool,
) -> Result<Comparison, Refusal> {
    let contests = contest::of_runs(baseline, candidate)?;
    let alike: Vec<_> = same.iter().map(|run| contest::of_runs(baseline, run)).collect::<Result<_, _>>()?;
    let floors = decide::floors(alike.into_iter());
    Ok(Comparison {
        baseline: baseline.run.id.clone(),
        candidate: candidate.run.id.clone(),
        notes: notes(baseline, candidate),
        rows: decide::judge(&contests, &floors, settings, wanted),
    })
}

/// Compares the pairs of variants that the scenario of a run names; `None` when it names none.
pub fn compare_pairs(results: &Results, settings: &Settings) -> Option<Comparison> {
    pairs_where(results, settings, &|_, _| true)
}

/// Compares the flagged pairs again, in a new run of them.
pub fn compare_flagged_pairs(
    flagged: &Comparison,
    results: &Results,
    settings: &Settings,
) -> Option<Comparison> {
    pairs_where(results, &confirming(settings), &is_flagged(flagged))
}

fn pairs_where(
    results: &Results,
    settings: &Settings,
    wanted: &dyn Fn(&str, &str) -> bool,
) -> Option<Comparison> {
    let contests = contest::of_pairs(results);
    (!contests.is_empty()).then(|| Comparison {
        baseline: results.run.id.clone(),
        candidate: results.run.id.clone(),
        notes: Vec::new(),
        rows: decide::judge(&contests, &decide::Floors::new(), settings, wanted),
    })
}

/// The differences between two runs besides their measurements.
fn notes(baseline: &Results, candidate: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    let machines = machine::differences(&baseline.run.host, &candidate.run.host);
    if !machines.is_empty() {
        notes.push(format!(
            "The machines differ ({}), so absolute times are not compared. Times are given as multiples of each \
             machine's own plain copy, which corrects for the disk only: confirm a change with pairs on one machine.",
            machines.join("; ")
        ));
    }
    for run in [&baseline.run, &candidate.run].into_iter().filter(|run| !run.machines.is_empty()) {
        notes.push(format!("{} was merged from shards of {} machines.", run.id, run.machines.len()));
    }
    let (then, now) = (&baseline.run.conditions, &candidate.run.conditions);
    // A value that only one of them has is one that the other version did not record.
    let differing = then.iter().filter_map(|(name, then)| {
        let now = now.get(name)?;
        (then != now && name != "build of the harness").then(|| format!("{name} was {then} and is {now}"))
    });
    let differing: Vec<String> = differing.collect();
    if !differing.is_empty() {
        notes.push(format!("Conditions differ: {}.", differing.join("; ")));
    }
    notes
}

#[cfg(test)]
mod tests;
