use proptest::prelude::*;

use super::output::{Findings, benchmark_json, junit, markdown, openmetrics, summary, table};
use super::*;
use crate::example;
use crate::record::Trial;
use crate::record::Verdict::{self, *};
use crate::render::table::Cell;

/// A run of one strategy. Its backups take these seconds, and each copy baseline takes 1 s.
fn run(seconds: &[f64]) -> Results {
    let trials = seconds.iter().zip(1..).map(|(seconds, repetition)| {
        let mut trial = example::trial("one-step", Restorable);
        (trial.id, trial.repetition) = (format!("one-step/wal/300MiB/20/{repetition}"), repetition);
        trial.backup.as_mut().unwrap().seconds = Some(*seconds);
        trial
    });
    example::results(trials.collect())
}

fn row<'a>(comparison: &'a Comparison, metric: &str) -> &'a Row {
    comparison.rows.iter().find(|row| row.metric == metric).unwrap()
}

fn compared(baseline: &Results, candidate: &Results) -> Comparison {
    compare(baseline, candidate, &[], &Settings::default()).unwrap()
}

const STEADY: [f64; 6] = [1.0, 1.02, 0.98, 1.03, 1.01, 0.99];
const SLOWER: [f64; 6] = [1.27, 1.25, 1.24, 1.3, 1.22, 1.26];

#[test]
fn six_pairs_that_agree_are_a_regression_and_five_are_not() {
    let found = compared(&run(&STEADY), &run(&SLOWER));
    assert_eq!(row(&found, "backup time").answer, Answer::Regressed);
    assert_eq!(found.flagged().count(), 1);
    let back = compared(&run(&SLOWER), &run(&STEADY));
    assert_eq!(row(&back, "backup time").answer, Answer::Improved);
    let five = compared(&run(&STEADY[..5]), &run(&SLOWER[..5]));
    let row = row(&five, "backup time");
    assert_eq!((row.answer, row.pairs_needed), (Answer::Inconclusive, Some(6)));
    assert_eq!(row.because, "5 pairs cannot show a change: 6 are needed; about 6 would give an answer");
}

#[test]
fn an_interval_within_the_margin_is_equivalent_and_one_pair_says_nothing() {
    let again = [0.99, 1.03, 0.99, 1.02, 1.0, 1.01];
    let found = compared(&run(&STEADY), &run(&again));
    assert!(found.rows.iter().all(|row| row.answer == Answer::Equivalent), "{found:#?}");
    let one = compared(&run(&STEADY[..1]), &run(&SLOWER[..1]));
    let row = row(&one, "backup time");
    assert_eq!((row.answer, row.pairs_needed, row.change), (Answer::Inconclusive, Some(6), None));
    assert_eq!(row.because, "pairs: 1; 6 are needed to tell a change from chance");
}

#[test]
fn noise_is_inconclusive_with_the_number_of_pairs_that_are_needed() {
    let noisy = [1.4, 0.8, 1.3, 0.7, 1.2, 1.0];
    let found = compared(&run(&STEADY), &run(&noisy));
    let row = row(&found, "backup time");
    assert_eq!(row.answer, Answer::Inconclusive);
    assert!(row.pairs_needed.is_some_and(|pairs| pairs > 6), "{row:?}");
}

#[test]
fn a_faster_disk_is_no_change_because_times_are_multiples_of_the_copy() {
    let mut candidate = run(&STEADY);
    candidate.run.host.cpu = "Another CPU".into();
    for trial in &mut candidate.trials {
        let backup = trial.backup.as_mut().unwrap();
        (backup.seconds, backup.copy_seconds) = (backup.seconds.map(|s| s / 3.0), Some(1.0 / 3.0));
        trial.restore.as_mut().unwrap().recovery_seconds = Some(1.4 / 3.0);
    }
    let found = compared(&run(&STEADY), &candidate);
    assert!(found.rows.iter().all(|row| row.answer == Answer::Equivalent), "{found:#?}");
    assert!(
        found.notes[0].starts_with("The machines differ (processor was 'Example CPU'"),
        "{:?}",
        found.notes
    );
    candidate.trials[0].backup.as_mut().unwrap().copy_seconds = None;
    let row = row(&compared(&run(&STEADY), &candidate), "backup time").clone();
    assert_eq!(row.answer, Answer::Inconclusive);
    assert!(row.because.contains("absolute times depend on the machine"), "{}", row.because);
}

#[test]
fn counters_are_compared_tightly_and_with_three_repetitions() {
    let larger = |repetitions: usize, bytes: u64| {
        let mut candidate = run(&STEADY[..repetitions]);
        for trial in &mut candidate.trials {
            trial.backup.as_mut().unwrap().artifact_bytes = Some((300 << 20) + bytes);
        }
        row(&compared(&run(&STEADY[..repetitions]), &candidate), "artifact").answer
    };
    assert_eq!(larger(3, 4 << 20), Answer::Regressed);
    assert_eq!(larger(3, 1 << 20), Answer::Equivalent);
    assert_eq!(larger(2, 4 << 20), Answer::Inconclusive);
    let mut lossy = run(&STEADY);
    lossy.trials[3].recovery_point.as_mut().unwrap().lost_promised_writes = 1;
    let found = compared(&run(&STEADY), &lossy);
    assert_eq!(row(&found, "loss beyond the promise").answer, Answer::Regressed);
}

#[test]
fn differences_between_runs_of_the_same_version_are_noise() {
    let same = run(&[1.2, 1.25, 1.22, 1.27, 1.24, 1.2]);
    let slower = run(&SLOWER.map(|seconds| seconds * 0.95));
    let settings = Settings::default();
    let alone = compare(&run(&STEADY), &slower, &[], &settings).unwrap();
    assert_eq!(row(&alone, "backup time").answer, Answer::Regressed);
    let informed = compare(&run(&STEADY), &slower, &[same], &settings).unwrap();
    assert_ne!(row(&informed, "backup time").answer, Answer::Regressed);
}

#[test]
fn unconfirmed_regressions_are_withdrawn() {
    let (baseline, slower) = (run(&STEADY), run(&SLOWER));
    let first = compared(&baseline, &slower);
    let settings = Settings::default();
    let again = compare_flagged(&first, &baseline, &slower, &settings).unwrap();
    assert_eq!(again.rows.len(), 1, "only flagged rows are compared");
    assert_eq!(first.clone().confirmed_by(&again).answer(), Answer::Regressed);
    let gone = compare_flagged(&first, &baseline, &run(&STEADY), &settings).unwrap();
    assert_eq!(first.confirmed_by(&gone).answer(), Answer::Inconclusive);
}

#[test]
fn pairs_within_a_run_are_compared_with_each_other() {
    let mut results = run(&STEADY);
    let slower = run(&SLOWER).trials.into_iter().map(|mut trial| {
        trial.id = trial.id.replace("one-step", "one-step:slower");
        trial.variant = "slower".into();
        trial
    });
    results.trials.extend(slower);
    assert_eq!(compare_pairs(&results, &Settings::default()), None);
    let pairs = serde_json::json!([{ "a": "one-step", "b": "slower" }]);
    results.run.conditions.insert("pairs".into(), pairs);
    let found = compare_pairs(&results, &Settings::default()).unwrap();
    assert_eq!(row(&found, "backup time").answer, Answer::Regressed);
    assert_eq!(compare_flagged_pairs(&found, &results, &Settings::default()).unwrap().rows.len(), 1);
}

/// A comparison with every answer, and the run that it judges.
fn every_answer() -> (Results, Comparison) {
    let mut candidate = run(&SLOWER);
    let mut baseline = run(&STEADY);
    for trial in &mut candidate.trials {
        trial.thresholds.insert("recovery_seconds".into(), "< 1.4".into());
        trial.thresholds.insert("blocked_seconds".into(), "< 1".into());
    }
    candidate.trials[5] = Trial { id: candidate.trials[5].id.clone(), ..example::trial("one-step", Lossy) };
    candidate.trials[5].repetition = 6;
    baseline.run.id = "ci-baseline".into();
    baseline.trials.push(Trial { id: "gone/wal/300MiB/20/1".into(), ..example::trial("gone", Restorable) });
    baseline.trials.extend(run(&STEADY).trials.into_iter().map(other));
    candidate.trials.extend(run(&SLOWER).trials.into_iter().map(other));
    for trial in candidate.trials.iter_mut().skip(6) {
        trial.restore.as_mut().unwrap().recovery_seconds = Some(0.7);
    }
    let comparison = compared(&baseline, &candidate);
    (candidate, comparison)
}

fn other(mut trial: Trial) -> Trial {
    trial.id = trial.id.replace("one-step", "a|b \"<&>");
    trial
}

#[test]
fn every_answer_has_its_place_in_every_output() {
    let (results, comparison) = every_answer();
    let comparisons = [comparison];
    let findings = Findings { results: &results, comparisons: &comparisons };
    let shown = table(&comparisons[0], false);
    let line = |row: &[Cell]| row.iter().map(|cell| cell.text.clone()).collect::<Vec<_>>().join(" | ");
    let lines: Vec<String> = shown.rows().map(line).collect();
    insta::assert_snapshot!("table", format!("{}\n{}", summary(&comparisons[0]), lines.join("\n")));
    insta::assert_snapshot!("markdown", markdown(&findings));
    insta::assert_snapshot!("junit", junit(&findings));
    insta::assert_snapshot!("benchmark", benchmark_json(&results));
    insta::assert_snapshot!("openmetrics", openmetrics(&findings));
}

fn seconds() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.2..5.0f64, 1..8)
}

proptest! {
    #[test]
    fn swapping_the_runs_swaps_better_and_worse(a in seconds(), b in seconds()) {
        let (there, back) = (compared(&run(&a), &run(&b)), compared(&run(&b), &run(&a)));
        for (one, other) in there.rows.iter().zip(&back.rows) {
            let mirrored = match one.answer {
                Answer::Regressed => Answer::Improved,
                Answer::Improved => Answer::Regressed,
                same => same,
            };
            prop_assert_eq!(mirrored, other.answer, "{:?} {:?}", one, other);
        }
    }

    #[test]
    fn a_run_never_regresses_against_itself(a in seconds()) {
        let found = compared(&run(&a), &run(&a));
        prop_assert!(found.rows.iter().all(|row| row.answer != Answer::Regressed));
    }

    #[test]
    fn any_verdicts_give_an_answer_and_readable_files(
        verdicts in prop::collection::vec(prop::sample::select(vec![Restorable, Unverified, Stalled, Lossy, Corrupt]), 1..5)
    ) {
        let worse = |verdict: &Verdict| {
            let mut trial = example::trial("one-step", *verdict);
            trial.id = "one-step/wal/300MiB/20/1".into();
            example::results(vec![trial])
        };
        for verdict in &verdicts {
            let candidate = worse(verdict);
            let found = [compared(&run(&STEADY), &candidate)];
            let findings = Findings { results: &candidate, comparisons: &found };
            let expected = match verdict {
                Restorable => Answer::Inconclusive,
                Unverified => Answer::Inconclusive,
                _ => Answer::Regressed,
            };
            prop_assert_eq!(found[0].answer(), expected);
            prop_assert!(junit(&findings).contains("<testsuites"));
            prop_assert!(openmetrics(&findings).ends_with("# EOF\n"));
        }
    }
}
