//! The gate: decides whether a candidate is worse than a baseline, by statistics over their records alone.
//!
//! Verdicts are compared absolutely, counters tightly, times as multiples of the plain copy made right before each
//! backup. Trials of the same repetition form a pair: they had the same writes. `docs/gate.md` has the method and its
//! limits.

mod contest;
mod decide;
pub mod error_rates;
mod metric;
pub mod output;
pub mod statistics;
pub mod thresholds;
mod verdicts;

use serde::Serialize;

pub use contest::{is_variant, place_of, subject, subject_of};
pub use metric::{METRICS, Metric, Unit};

use crate::compare::Spread;
use crate::machine;
use crate::record::Results;
use contest::Contest;

/// The confidence level of the intervals that are shown and that decide equivalence: two one-sided tests at 5 %.
pub const INTERVAL: f64 = 0.9;

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Times that differ by less than this share are equivalent: 0.1 is 10 %.
    pub margin: f64,
    /// The significance level: the share of comparisons without any change that may report a change nevertheless.
    pub level: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { margin: 0.1, level: 0.05 }
    }
}

/// Why two runs cannot be compared, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// The answer for a metric, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// There is no change larger than the margin.
    Equivalent,
    /// Better by more than the margin, and statistically significant.
    Improved,
    /// The measurements do not allow another answer.
    Inconclusive,
    /// Worse by more than the margin, and statistically significant.
    Regressed,
}

impl Answer {
    /// All answers, the worst first.
    pub const WORST_FIRST: [Answer; 4] =
        [Answer::Regressed, Answer::Inconclusive, Answer::Improved, Answer::Equivalent];

    /// The word in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Equivalent => "equivalent",
            Answer::Improved => "improved",
            Answer::Inconclusive => "inconclusive",
            Answer::Regressed => "regressed",
        }
    }
}

/// Candidate divided by baseline: 1 is no change, 1.25 is 25 % more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The geometric mean over the pairs.
    pub ratio: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The answer for one metric of one subject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The id that the trials share, without the repetition.
    pub subject: String,
    /// `verdict`, or the name of one of [`METRICS`].
    pub metric: &'static str,
    /// The unit of the metric; null for verdicts.
    pub unit: Option<Unit>,
    /// Median of the baseline with its unit, or its worst verdict; null when it has no value.
    pub baseline: Option<String>,
    /// The same of the candidate.
    pub candidate: Option<String>,
    /// Median and range of the candidate, for files that other programs read.
    #[serde(skip)]
    pub candidate_values: Option<Spread>,
    /// Number of pairs of repetitions in which both have a value.
    pub pairs: usize,
    /// Candidate divided by baseline; null for answers without statistics, and with fewer than two pairs.
    pub change: Option<Change>,
    /// The answer.
    pub answer: Answer,
    /// The reason for the answer.
    pub because: String,
    /// Number of pairs that would give an answer; null where that is not known or not needed.
    pub pairs_needed: Option<usize>,
    /// Whether the answer depends on chance, so that another measurement can change it.
    pub is_statistical: bool,
    /// Ids of the trials that the answer is based on.
    #[serde(skip)]
    pub trials: Vec<String>,
}

impl Row {
    fn new(contest: &Contest<'_>, metric: &'static str) -> Row {
        let trials = contest.baseline.iter().chain(&contest.candidate);
        Row {
            subject: contest.subject.clone(),
            metric,
            unit: None,
            baseline: None,
            candidate: None,
            candidate_values: None,
            pairs: contest.pairs().count(),
            change: None,
            answer: Answer::Inconclusive,
            because: String::new(),
            pairs_needed: None,
            is_statistical: false,
            trials: trials.map(|trial| trial.id.clone()).collect(),
        }
    }
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Id of the baseline run.
    pub baseline: String,
    /// Id of the run that is judged; the same as the baseline for pairs within a run.
    pub candidate: String,
    /// Notes that a reader must know first: different machines, different conditions.
    pub notes: Vec<String>,
    /// A row for the verdict and for each metric of each subject.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// The worst answer.
    pub fn answer(&self) -> Answer {
        self.rows.iter().map(|row| row.answer).max().unwrap_or(Answer::Inconclusive)
    }

    /// How many rows have this answer.
    pub fn count(&self, answer: Answer) -> usize {
        self.rows.iter().filter(|row| row.answer == answer).count()
    }

    /// The regressions that a second measurement can confirm.
    pub fn flagged(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_statistical && row.answer == Answer::Regressed)
    }

    /// Withdraws regressions that a second comparison of the flagged rows did not confirm.
    #[must_use]
    pub fn confirmed_by(mut self, again: &Comparison) -> Comparison {
        for row in self.rows.iter_mut().filter(|row| row.is_statistical && row.answer == Answer::Regressed) {
            let second =
                again.rows.iter().find(|other| (&other.subject, other.metric) == (&row.subject, row.metric));
            match second {
                Some(second) if second.answer == Answer::Regressed => {
                    row.because += "; confirmed by a second measurement"
                }
                _ => {
                    row.answer = Answer::Inconclusive;
                    row.because = "regressed in the first measurement, not confirmed by the second".into();
                }
            }
        }
        self
    }
}

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
