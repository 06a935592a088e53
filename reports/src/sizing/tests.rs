//! Tests from end to end: from records to a model to advice.

use std::path::Path;

use proptest::prelude::*;

use super::decide::{Advice, Caution, Exclusion, Objective, Objectives, decide};
use super::{Load, Model, Prediction, check, fit, predict, text};
use crate::record::{PhaseStart, Results, Trial, Verdict};
use crate::{arbitrary, example};

const MIB: f64 = (1u64 << 20) as f64;
const GIB: f64 = 1024.0 * MIB;

/// A trial with times that grow with the size: 0.1 s plus 2 ms per MiB for the backup, half of that for the recovery.
fn sized(strategy: &str, mib: u64, verdict: Verdict, noise: f64) -> Trial {
    let mut trial = example::trial(strategy, verdict);
    trial.id = format!("{strategy}/{mib}MiB");
    (trial.dataset.target_bytes, trial.dataset.bytes) = (mib << 20, mib << 20);
    let seconds = (0.1 + 0.002 * mib as f64) * noise;
    if let Some(backup) = trial.backup.as_mut().filter(|backup| backup.seconds.is_some()) {
        (backup.seconds, backup.artifact_bytes) = (Some(seconds), Some(mib << 20));
    }
    if let Some(restore) = trial.restore.as_mut() {
        restore.recovery_seconds = Some(seconds / 2.0);
    }
    if let Some(point) = trial.recovery_point.as_mut() {
        point.lost_seconds_at_completion = Some(seconds);
    }
    trial
}

fn sizes(strategy: &str) -> Vec<Trial> {
    let noise = [(64, 1.02), (64, 0.97), (256, 0.95), (256, 1.04), (1024, 1.05), (1024, 0.98)];
    noise.into_iter().map(|(mib, noise)| sized(strategy, mib, Verdict::Restorable, noise)).collect()
}

/// A backup that every commit restarts: 2 ms per MiB for a pass.
fn restarting(mib: u64, verdict: Verdict) -> Trial {
    let mut trial = sized("shell-backup", mib, verdict, 1.0);
    let backup = trial.backup.as_mut().unwrap();
    (backup.pass_seconds, backup.commits_per_second) = (Some(0.002 * mib as f64), Some(20.0));
    trial
}

/// Continuous replication with a lag of 0.5 s at the disaster, after a tail of 5 s.
fn shipper(mib: u64) -> Trial {
    let mut trial = sized("shipper", mib, Verdict::Restorable, 1.0);
    let phase = |phase: &str, at_seconds| PhaseStart { phase: phase.to_owned(), at_seconds };
    trial.phases.extend([phase("tail", 10.0), phase("disaster", 15.0)]);
    trial.kind = None;
    let point = trial.recovery_point.as_mut().unwrap();
    (point.lost_seconds, point.lost_seconds_at_completion) = (Some(0.5), None);
    trial
}

/// One strategy of each kind: cold, online, restarting, continuous, snapshot on the same disk, failing at a large
/// size.
fn runs() -> Results {
    let mut trials = sizes("one-step");
    for mut trial in sizes("cold-copy") {
        let backup_seconds = trial.backup.as_ref().unwrap().seconds;
        let impact = trial.impact.as_mut().unwrap();
        (impact.blocked_seconds, impact.downtime_seconds) = (backup_seconds, backup_seconds);
        trials.push(trial);
    }
    trials.extend([restarting(16, Verdict::Restorable), restarting(256, Verdict::Stalled)]);
    trials.extend([shipper(64), shipper(256), shipper(1024)]);
    for mut trial in sizes("snapshot") {
        trial.survives_disk_loss = Some(false);
        trials.push(trial);
    }
    trials.extend(sizes("fragile"));
    trials.push(sized("fragile", 4096, Verdict::Failed, 1.0));
    let mut control = sized("hot-copy", 64, Verdict::Corrupt, 1.0);
    control.control = true;
    trials.push(control);
    example::results(trials)
}

fn load(bytes: f64, rate: f64) -> Load {
    Load { bytes, rate, interval_seconds: None }
}

fn prediction(model: &Model, strategy: &str, load: &Load) -> Prediction {
    predict(model.contenders.iter().find(|one| one.strategy == strategy).unwrap(), load)
}

/// Everything that `advise` prints.
fn printed(advice: &Advice<'_>) -> String {
    let tables = [text::meeting(advice).markdown(), text::excluded(advice).markdown()];
    format!(
        "{}\n{}\n\n{}\n\n{}\n",
        text::question(advice),
        text::answer(advice),
        tables.join("\n\n"),
        text::notes(advice).join("\n")
    )
}

#[test]
fn each_kind_of_strategy_gets_the_lines_that_apply_to_it() {
    let model = fit(&[&runs()]);
    let strategies: Vec<&str> = model.contenders.iter().map(|one| one.strategy.as_str()).collect();
    assert_eq!(strategies, ["one-step", "cold-copy", "shell-backup", "shipper", "snapshot", "fragile"]);
    let there = |at: usize| {
        let one = &model.contenders[at];
        (one.backup.is_some(), one.pass.is_some(), one.floor.is_some(), one.lag.is_some(), one.continuous)
    };
    assert_eq!(there(0), (true, false, true, false, false));
    assert_eq!(there(2), (false, true, true, false, false));
    assert_eq!(there(3), (true, false, false, true, true));

    let at_16_gib = load(16.0 * GIB, 20.0);
    let backup = prediction(&model, "one-step", &at_16_gib).backup.unwrap();
    assert!((backup.point / 32.9 - 1.0).abs() < 0.1, "{backup:?}");
    assert_eq!(prediction(&model, "one-step", &at_16_gib).bytes_factor, 16.0);
}

#[test]
fn a_restarting_backup_follows_the_restart_model_until_it_never_completes() {
    let model = fit(&[&runs()]);
    let point = |bytes, rate| prediction(&model, "shell-backup", &load(bytes, rate)).backup.unwrap().point;
    let law = crate::advise::expected_seconds(0.128, 20.0).unwrap();
    assert!((point(64.0 * MIB, 20.0) / law - 1.0).abs() < 1e-9);
    assert!((point(GIB, 1e-9) / 2.048 - 1.0).abs() < 1e-6);
    assert_eq!(point(4.0 * GIB, 20.0), f64::INFINITY);
    let large = load(4.0 * GIB, 20.0);
    let advice = decide(&model, &large, &Objectives::default(), None);
    let shell = advice.judgements.iter().find(|one| one.contender.strategy == "shell-backup").unwrap();
    assert!(matches!(&shell.exclusions[..], [Exclusion::Failed(proof), Exclusion::NeverCompletes]
        if proof.trial == "shell-backup/256MiB"));
}

#[test]
fn loss_is_a_share_of_the_interval_and_the_floor_or_the_lag() {
    let model = fit(&[&runs()]);
    let hourly = Load { interval_seconds: Some(3600.0), ..load(GIB, 20.0) };
    let one_step = prediction(&model, "one-step", &hourly);
    let floor = model.contenders[0].floor.as_ref().unwrap().predict(GIB).unwrap();
    assert_eq!(one_step.loss_worst.unwrap().high, 3600.0 + floor.high);
    assert_eq!(one_step.loss_expected.unwrap().point, 1800.0 + floor.point);
    let back_to_back = prediction(&model, "one-step", &load(GIB, 20.0));
    assert_eq!(back_to_back.loss_worst.unwrap().point, back_to_back.backup.unwrap().point + floor.point);
    let shipper = prediction(&model, "shipper", &hourly);
    assert!(shipper.loss_worst.unwrap().point < 1.0);
    assert_eq!(shipper.loss_worst.unwrap().point, shipper.loss_expected.unwrap().high);
}

#[test]
fn a_backup_with_its_own_interval_is_not_continuous() {
    let mut sidecar = shipper(64);
    sidecar.settings.insert("interval_seconds".into(), 5.into());
    assert!(!fit(&[&example::results(vec![sidecar])]).contenders[0].continuous);
}

#[test]
fn runs_of_other_conditions_are_another_contender_with_another_label() {
    let mut cold = sized("one-step", 64, Verdict::Restorable, 1.0);
    cold.workload.synchronous = Some("off".into());
    let results = example::results(vec![sized("one-step", 64, Verdict::Restorable, 1.0), cold]);
    let labels: Vec<String> = fit(&[&results]).contenders.into_iter().map(|one| one.label).collect();
    assert_eq!(labels, ["one-step, synchronous full", "one-step, synchronous off"]);
    let mut other = sized("one-step", 64, Verdict::Restorable, 1.0);
    other.settings.insert("unnamed".into(), 1.into());
    let results = example::results(vec![sized("one-step", 64, Verdict::Restorable, 1.0), other]);
    let labels: Vec<String> = fit(&[&results]).contenders.into_iter().map(|one| one.label).collect();
    assert_eq!(labels, ["one-step", "one-step (2)"]);
}

#[test]
fn a_failure_at_a_larger_load_is_a_caution_and_at_a_smaller_load_an_exclusion() {
    let model = fit(&[&runs()]);
    let at = |bytes| {
        let load = load(bytes, 20.0);
        let advice = decide(&model, &load, &Objectives::default(), None);
        advice.judgements.into_iter().find(|one| one.contender.strategy == "fragile").unwrap()
    };
    let failed_beyond =
        |cautions: &[Caution]| cautions.iter().any(|one| matches!(one, Caution::FailedBeyond(_)));
    assert!(!failed_beyond(&at(GIB).cautions));
    assert!(failed_beyond(&at(2.0 * GIB).cautions) && !at(2.0 * GIB).is_certain() && at(2.0 * GIB).meets());
    assert!(
        matches!(&at(4.0 * GIB).exclusions[..], [Exclusion::Failed(proof)] if proof.trial == "fragile/4096MiB")
    );
}

#[test]
fn a_figure_that_was_not_measured_meets_no_objective() {
    let mut trials = sizes("one-step");
    trials.iter_mut().for_each(|trial| (trial.impact, trial.survives_disk_loss) = (None, None));
    let model = fit(&[&example::results(trials)]);
    let objectives =
        Objectives { blocked_seconds: Some(1.0), survive_disk_loss: true, ..Objectives::default() };
    let load = load(GIB, 20.0);
    let advice = decide(&model, &load, &objectives, None);
    let expected = [Exclusion::NotMeasured(Objective::Blocked), Exclusion::DiskLossUnknown];
    assert_eq!(advice.judgements[0].exclusions, expected);
    assert!(decide(&model, &load, &objectives, Some("mysql")).judgements.is_empty());
}

#[test]
fn advice_in_words() {
    let load = Load { interval_seconds: Some(60.0), ..load(17.0 * GIB, 50.0) };
    let objectives = Objectives {
        rpo_seconds: Some(300.0),
        rto_seconds: Some(20.0),
        blocked_seconds: Some(2.0),
        survive_disk_loss: true,
    };
    let model = fit(&[&runs()]);
    insta::assert_snapshot!(printed(&decide(&model, &load, &objectives, None)));
}

#[test]
fn the_check_predicts_what_it_has_not_seen() {
    let mut run = runs();
    run.trials.push(sized("one-step", 4096, Verdict::Restorable, 1.1));
    run.trials.push(sized("one-step", 4096, Verdict::Restorable, 3.0));
    let checked = check::check(&[&run], GIB);
    assert_eq!(checked.len(), 5);
    let backup = checked.iter().find(|one| one.figure == "backup time").unwrap();
    assert_eq!((backup.measured.len(), backup.inside()), (2, 1));
    insta::assert_snapshot!(check::summary(&checked).markdown());
    assert!(check::check(&[&run], 8.0 * GIB).is_empty());
}

#[test]
fn advice_can_be_given_from_all_results_that_were_ever_published() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("published");
    let directories = std::fs::read_dir(published).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let runs: Vec<Results> =
        directories.map(|entry| Results::load(&entry.path().join("results.json")).unwrap()).collect();
    let model = fit(&runs.iter().collect::<Vec<_>>());
    assert!(!model.contenders.is_empty());
    let load = Load { interval_seconds: Some(3600.0), ..load(17.0 * GIB, 50.0) };
    let advice = decide(&model, &load, &Objectives::default(), None);
    let printed = printed(&advice);
    assert!(!printed.contains("NaN") && !printed.contains("inf"), "{printed}");
    assert!(advice.judgements.iter().any(|one| one.meets()), "{printed}");
}

const EXAMPLES: &str = "tests/data/sizing-examples.json";
const UPDATE: &str = "UPDATE_EXAMPLES=1 cargo test --release -p reports sizing";

/// Other implementations of the model are compared with these examples: each has a contender, a load and a
/// prediction.
#[test]
fn the_checked_in_examples_follow_from_the_model() {
    let model = fit(&[&runs()]);
    let rates = [(0.5 * GIB, 20.0, None), (17.0 * GIB, 50.0, Some(3600.0)), (1.0 * MIB, 1.0, Some(1.0))];
    let mut examples = Vec::new();
    for contender in &model.contenders {
        for (bytes, rate, interval_seconds) in rates {
            let load = Load { bytes, rate, interval_seconds };
            let prediction = predict(contender, &load);
            examples
                .push(serde_json::json!({"contender": contender, "load": load, "prediction": prediction}));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLES);
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&examples).unwrap() + "\n").unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    let checked_in: serde_json::Value = serde_json::from_str(&checked_in).unwrap_or_default();
    assert!(is_close(&checked_in, &examples.into()), "reports/{EXAMPLES} differs: run `{UPDATE}`");
}

/// Equal except for the last digits of numbers, which other mathematical libraries may round differently.
fn is_close(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(a), Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_close(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_close(a, b)))
        }
        _ => a == b,
    }
}

fn limit() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(1e-3..1e4f64)
}

proptest! {
    #[test]
    fn a_stricter_objective_never_adds_a_strategy(
        (rpo, rto, blocked) in (limit(), limit(), limit()), strictness in 0.0..1.0f64,
        mib in 1.0..1e5f64, rate in 0.1..1e3f64,
    ) {
        let model = fit(&[&runs()]);
        let load = load(mib * MIB, rate);
        let meeting = |factor: f64, survive_disk_loss| {
            let objectives = Objectives {
                rpo_seconds: rpo.map(|limit| limit * factor),
                rto_seconds: rto.map(|limit| limit * factor),
                blocked_seconds: blocked.map(|limit| limit * factor),
                survive_disk_loss,
            };
            let advice = decide(&model, &load, &objectives, None);
            let kept = advice.judgements.iter().filter(|one| one.meets());
            kept.map(|one| one.contender.label.clone()).collect::<Vec<_>>()
        };
        let lax = meeting(1.0, false);
        prop_assert!(meeting(strictness, false).iter().all(|label| lax.contains(label)));
        prop_assert!(meeting(1.0, true).iter().all(|label| lax.contains(label)));
    }

    #[test]
    fn any_record_gives_advice_with_finite_numbers_only(
        results in arbitrary::results(), bytes in 1.0..1e12f64, rate in 0.0..1e4f64, limits in (limit(), limit())
    ) {
        let model = fit(&[&results]);
        let objectives =
            Objectives { rpo_seconds: limits.0, rto_seconds: limits.1, ..Objectives::default() };
        let load = load(bytes, rate);
        let printed = printed(&decide(&model, &load, &objectives, None));
        prop_assert!(!printed.contains("NaN") && !printed.contains("inf"), "{}", printed);
        for (label, value) in model.contenders.iter().filter_map(|one| Some((&one.label, one.backup.as_ref()?))) {
            prop_assert!(value.sigma_log.is_finite(), "{} {:?}", label, value);
        }
    }
}
