//! From contests to answers: first counters that do not depend on chance, then the statistics of all others together.

use std::collections::BTreeMap;

use super::comparison::{Answer, Change, Row};
use super::contest::Contest;
use super::metric::{Kind, METRICS, Metric, copy_seconds};
use super::settings::{INTERVAL, Settings};
use super::statistics::{Differences, holm, pairs_needed, sign_flip_floor};
use super::verdicts;
use crate::compare::Spread;
use crate::record::Trial;
use crate::render::number;

/// The noise of each metric of each subject: the difference in A/A comparisons, as a logarithm.
pub(super) type Floors = BTreeMap<(String, &'static str), f64>;

/// The largest mean difference between runs of the same version, by subject and metric.
pub(super) fn floors<'a>(same: impl Iterator<Item = Vec<Contest<'a>>>) -> Floors {
    let mut floors = Floors::new();
    for contest in same.flatten() {
        for metric in METRICS {
            if let Some(mean) = differences(&contest, &metric).mean() {
                let floor = floors.entry((contest.subject.clone(), metric.name)).or_insert(0.0);
                *floor = floor.max(mean.abs());
            }
        }
    }
    floors
}

/// A row for the verdict of each contest, and for each metric that both sides have. Only rows that are `wanted` (by
/// subject and metric) are included, also in the correction for multiple tests.
pub(super) fn judge(
    contests: &[Contest<'_>],
    floors: &Floors,
    settings: &Settings,
    wanted: &dyn Fn(&str, &str) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut uncertain = Vec::new();
    for contest in contests {
        if wanted(&contest.subject, VERDICT) {
            rows.push(verdict_row(contest));
        }
        for metric in METRICS.iter().filter(|metric| wanted(&contest.subject, metric.name)) {
            let Some(mut row) = metric_row(contest, metric) else { continue };
            if let Some((answer, because)) = without_chance(contest, metric) {
                (row.answer, row.because) = (answer, because);
            } else if let Some(why) = without_copy_baseline(contest, metric) {
                row.because = why;
            } else {
                let floor = floors.get(&(contest.subject.clone(), metric.name)).copied().unwrap_or(0.0);
                let margin = margin(metric, settings).max(floor);
                uncertain.push((rows.len(), differences(contest, metric), margin));
            }
            rows.push(row);
        }
    }
    // Metrics with too few pairs for a test do not count in the correction.
    let tested: Vec<f64> = uncertain.iter().filter_map(|(_, differences, _)| differences.t_test()).collect();
    let mut adjusted = holm(&tested).into_iter();
    for (at, differences, margin) in uncertain {
        let row = &mut rows[at];
        row.is_statistical = true;
        row.change = change(&differences);
        match differences.t_test() {
            Some(_) => {
                let p = adjusted.next().expect("each test was adjusted");
                decide(row, &differences, margin, p, settings.level);
            }
            None => {
                let needed = pairs_at_least(settings.level);
                row.pairs_needed = Some(needed);
                row.because =
                    format!("pairs: {}; {needed} are needed to tell a change from chance", row.pairs);
            }
        }
    }
    rows
}

/// The name of the rows that compare verdicts.
pub(super) const VERDICT: &str = "verdict";

/// A row without values.
fn undecided(contest: &Contest<'_>, metric: &'static str) -> Row {
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

fn verdict_row(contest: &Contest<'_>) -> Row {
    let (answer, because) = verdicts::judge(contest);
    Row {
        baseline: verdicts::shown(&contest.baseline),
        candidate: verdicts::shown(&contest.candidate),
        answer,
        because,
        ..undecided(contest, VERDICT)
    }
}

/// The row that shows both sides; `None` where one of them was not measured.
fn metric_row(contest: &Contest<'_>, metric: &Metric) -> Option<Row> {
    let median = |trials: &[&Trial]| Spread::of(trials.iter().filter_map(|trial| metric.value(trial)));
    let is_incomparable = without_copy_baseline(contest, metric).is_some();
    let (baseline, candidate) = (median(&contest.baseline), median(&contest.candidate));
    if !is_incomparable && (baseline.is_none() || candidate.is_none()) {
        return None;
    }
    let shown = |spread: Option<Spread>| Some(metric.unit.shown(metric.representative(spread?)));
    Some(Row {
        unit: Some(metric.unit),
        baseline: shown(baseline),
        candidate: shown(candidate),
        candidate_values: candidate,
        pairs: differences(contest, metric).pairs(),
        ..undecided(contest, metric.name)
    })
}

/// Why a measured time cannot be compared: its copy baseline is missing.
fn without_copy_baseline(contest: &Contest<'_>, metric: &Metric) -> Option<String> {
    let trials = contest.baseline.iter().chain(&contest.candidate);
    trials.copied().any(|trial| metric.lacks_copy_baseline(trial)).then(|| {
        "not compared: a copy baseline is missing, and absolute times depend on the machine; run both with a version \
         that records copy_seconds"
            .into()
    })
}

/// The logarithm of candidate divided by baseline, for each pair.
fn differences(contest: &Contest<'_>, metric: &Metric) -> Differences {
    let trials = contest.baseline.iter().chain(&contest.candidate);
    let copies: Vec<f64> = trials.filter_map(|trial| Some(copy_seconds(trial)?.ln())).collect();
    let copy = if copies.is_empty() { 1.0 } else { (copies.iter().sum::<f64>() / copies.len() as f64).exp() };
    let floor = metric.floor(copy);
    Differences::new(contest.pairs().filter_map(|(baseline, candidate)| {
        Some(((metric.value(candidate)? + floor) / (metric.value(baseline)? + floor)).ln())
    }))
}

fn margin(metric: &Metric, settings: &Settings) -> f64 {
    match metric.kind {
        Kind::Time { .. } => settings.margin.ln_1p(),
        Kind::Counter { share, .. } => share.ln_1p(),
    }
}

/// The answer for counters that are the same in all repetitions of the baseline: a difference in all repetitions of
/// the candidate is not chance.
fn without_chance(contest: &Contest<'_>, metric: &Metric) -> Option<(Answer, String)> {
    let Kind::Counter { share, absolute, repetitions } = metric.kind else { return None };
    let spread = |trials: &[&Trial]| Spread::of(trials.iter().filter_map(|trial| metric.value(trial)));
    let (baseline, candidate) = (spread(&contest.baseline)?, spread(&contest.candidate)?);
    let tolerance = absolute.max(share * baseline.median);
    if baseline.max - baseline.min > tolerance || baseline.count.min(candidate.count) < repetitions {
        return None;
    }
    // One repetition is enough to break a promise; a counter has changed only when all repetitions differ.
    if repetitions == 1 && candidate.max > baseline.max {
        return Some((Answer::Regressed, "more than in any repetition of the baseline".into()));
    }
    if candidate.min > baseline.max + tolerance {
        return Some((Answer::Regressed, "more than the baseline in every repetition".into()));
    }
    if candidate.max < baseline.min - tolerance {
        return Some((Answer::Improved, "less than the baseline in every repetition".into()));
    }
    let is_within = candidate.min >= baseline.min - tolerance && candidate.max <= baseline.max + tolerance;
    is_within.then(|| (Answer::Equivalent, format!("equal within {}", metric.unit.shown(tolerance))))
}

fn change(differences: &Differences) -> Option<Change> {
    let (low, high) = differences.interval(INTERVAL)?;
    Some(Change { ratio: differences.mean()?.exp(), low: low.exp(), high: high.exp() })
}

/// The statistical answer. There is a change when both tests are significant and it is larger than the margin; there
/// is none when the whole interval is inside the margin.
fn decide(row: &mut Row, differences: &Differences, margin: f64, p: f64, level: f64) {
    let pairs = differences.pairs();
    let measured = (differences.mean(), differences.deviation(), differences.interval(INTERVAL));
    let (Some(mean), Some(deviation), Some((low, high))) = measured else { return };
    let flips = differences.sign_flip_test();
    let within = number::percent(margin.exp_m1());
    if p <= level && flips <= level && mean.abs() > margin {
        row.answer = if mean > 0.0 { Answer::Regressed } else { Answer::Improved };
        row.because = format!(
            "larger than {within} and significant: {} in the t-test after Holm's correction, {} in the sign-flip test",
            p_value(p),
            p_value(flips)
        );
    } else if low > -margin && high < margin {
        row.answer = Answer::Equivalent;
        row.because = format!("the 90 % interval is within ±{within}");
    } else {
        row.pairs_needed =
            pairs_needed(mean, deviation, margin, INTERVAL, level).filter(|needed| *needed > pairs);
        row.because = inconclusive(row.pairs_needed, pairs, level);
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.1 %".into() } else { format!("p = {}", number::percent(p)) }
}

fn inconclusive(needed: Option<usize>, pairs: usize, level: f64) -> String {
    let few = pairs < pairs_at_least(level);
    match needed {
        Some(needed) if few => {
            format!(
                "{pairs} pairs cannot show a change: {} are needed; about {needed} would give an answer",
                pairs_at_least(level)
            )
        }
        Some(needed) => format!("about {needed} pairs would give an answer"),
        // The correction for many metrics needs more pairs than a single metric would.
        None => {
            "the noise is too large for this margin, or too many metrics are compared at once: use --confirm"
                .into()
        }
    }
}

/// The fewest pairs with which a two-sided sign-flip test reaches this level.
fn pairs_at_least(level: f64) -> usize {
    (1..).find(|pairs| sign_flip_floor(*pairs) <= level).expect("the floor falls to 0")
}
