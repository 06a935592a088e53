//! Compares what the controls exclude with the records.

use std::collections::BTreeSet;

use reports::compare::{Group, groups};
use reports::record::{Results, Trial, Verdict};
use reports::sizing::decide::Objectives;
use reports::sizing::{self, Load};
use serde_json::{Value, json};

use crate::published;
use crate::window::Window;

/// The entries of the form. Times are in seconds; `None` is an empty field.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    interval: Option<f64>,
    loss: Option<f64>,
    recovery: Option<f64>,
    blocked: Option<f64>,
    latency: Option<f64>,
    disk: bool,
    mysql: bool,
}

impl Limits {
    /// The address of the page with these entries.
    fn address(&self) -> String {
        let seconds = |limit: Option<f64>| limit.map_or(String::new(), |seconds| format!("{seconds}s"));
        format!(
            "interval={}&rpo={}&rto={}&blocked={}&latency={}&disk={}&engine={}",
            seconds(self.interval),
            seconds(self.loss),
            seconds(self.recovery),
            seconds(self.blocked),
            seconds(self.latency),
            if self.disk { "on" } else { "off" },
            if self.mysql { "mysql" } else { "" },
        )
    }

    /// The first trials of the groups that meet the limits, computed from the records alone.
    fn met_by<'a>(&self, results: &'a Results) -> BTreeSet<&'a str> {
        let groups = groups(&results.trials);
        let met = groups.iter().filter(|group| self.are_met(group));
        met.map(|group| group.first.id.as_str()).collect()
    }

    fn are_met(&self, group: &Group<'_>) -> bool {
        let first = group.first;
        let median = |of: fn(&Trial) -> Option<f64>| group.spread(of).map(|spread| spread.median);
        let impact = |trial: &Trial| trial.impact.clone();
        let within = |limit: Option<f64>, value: Option<f64>| {
            limit.is_none_or(|limit| value.is_some_and(|value| value <= limit))
        };
        let is_continuous = first.kind.as_deref() == Some("continuous");
        let lag = group.spread(|trial| trial.recovery_point.as_ref()?.lost_seconds).map(|spread| spread.max);
        let floor = median(|trial| {
            let point = trial.recovery_point.as_ref()?;
            point.lost_seconds_at_completion.or(point.staleness_at_completion_seconds)
        });
        let backup = median(|trial| trial.backup.as_ref()?.seconds);
        let at_interval = || Some(self.interval.unwrap_or(0.0).max(backup?) + floor?);
        let loss = if is_continuous { lag } else { at_interval() };
        let latency = group.spread(|trial| Some(impact(trial)?.during?.max_ms? / 1000.0));
        group.verdict() == Verdict::Restorable
            && !first.control
            && (!self.mysql || first.engine == "mysql")
            && (!self.disk || first.survives_disk_loss == Some(true))
            && within(self.loss, loss)
            && within(self.recovery, median(|trial| trial.restore.as_ref()?.recovery_seconds))
            && within(
                self.blocked,
                group.spread(|trial| impact(trial)?.blocked_seconds).map(|spread| spread.median),
            )
            && within(self.latency, latency.map(|spread| spread.median))
    }
}

/// A run with all fields that the decision needs, some of which older records lack.
fn complete() -> Results {
    let mut results = published("large-options-1GiB");
    for trial in &mut results.trials {
        trial.survives_disk_loss = match trial.strategy.as_str() {
            "snapshot" => Some(false),
            "selective" => None,
            _ => Some(true),
        };
    }
    // A repetition that differs, so that the median is not one of the measured values.
    let mut again = results.trials[0].clone();
    again.id += "-again";
    again.repetition = 2;
    again.impact.as_mut().unwrap().blocked_seconds = Some(3.5);
    results.trials.push(again);
    results
}

fn ids(window: &Window, list: &str) -> BTreeSet<String> {
    let ids = window
        .texts(&format!("[...document.querySelectorAll('#{list} > li')].map((item) => item.dataset.trial)"));
    ids.into_iter().collect()
}

fn cases() -> Vec<Limits> {
    let mut cases = vec![Limits::default(), Limits { disk: true, ..Limits::default() }];
    for tight in [0.0, 0.2, 0.65, 2.0, 4.1, 11.0, 120.0] {
        let limit = Some(tight);
        cases.push(Limits { blocked: limit, ..Limits::default() });
        cases.push(Limits { latency: limit, disk: true, ..Limits::default() });
        cases.push(Limits { recovery: limit, ..Limits::default() });
        cases.push(Limits { loss: limit, interval: Some(2.0), ..Limits::default() });
        cases.push(Limits {
            interval: Some(60.0),
            loss: Some(61.0 + tight),
            recovery: Some(10.0 * tight),
            blocked: Some(0.7),
            ..Limits::default()
        });
    }
    // Without an interval, each backup starts when the last one has finished.
    cases.push(Limits { loss: Some(4.0), ..Limits::default() });
    cases
}

#[test]
fn exclusions_agree_with_the_records() {
    let results = complete();
    let window = Window::open(&results);
    let all: BTreeSet<String> = groups(&results.trials).iter().map(|group| group.first.id.clone()).collect();
    let mut sizes = BTreeSet::new();
    for limits in cases() {
        let kept = assert_kept(&window, &results, &limits);
        let excluded = ids(&window, "excluded");
        assert_eq!(excluded, all.difference(&kept).cloned().collect(), "{limits:?}");
        let without_reason = window.run("document.querySelectorAll('#excluded > li .reasons:empty').length");
        assert_eq!(without_reason, 0);
        sizes.insert(kept.len());
    }
    assert!(sizes.len() > 6, "the cases must differ: {sizes:?}");
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn an_engine_can_be_chosen() {
    let results = published("full-512MiB");
    let window = Window::open(&results);
    let limits = Limits { mysql: true, blocked: Some(4.0), recovery: Some(60.0), ..Limits::default() };
    let mysql = assert_kept(&window, &results, &limits);
    let any = assert_kept(&window, &results, &Limits { mysql: false, ..limits });
    assert!(!mysql.is_empty() && mysql.len() < any.len());
}

/// The strategies that the page keeps, after checking that they are those that meet the limits by the records.
fn assert_kept(window: &Window, results: &Results, limits: &Limits) -> BTreeSet<String> {
    window.turn(&format!("#{}", limits.address()));
    let kept = ids(window, "kept");
    let expected: BTreeSet<String> = limits.met_by(results).into_iter().map(str::to_string).collect();
    assert_eq!(kept, expected, "{limits:?}");
    kept
}

#[test]
fn each_exceeded_limit_names_the_trial_that_proves_it() {
    let results = complete();
    let window = Window::open(&results);
    window.go("blocked=2s&rpo=&rto=&interval=15m&disk=off");
    let reasons = window
        .texts("[...document.querySelectorAll('#excluded .reasons li')].map((item) => item.textContent)");
    let number = results.trials.iter().position(|trial| trial.strategy == "maintenance-window").unwrap() + 1;
    assert!(reasons.contains(&format!("blocked time 10.7 s > 2.00 s in trial {number}")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.starts_with("stalled after 13.1 s in trial ")), "{reasons:?}");
    assert!(reasons.contains(&"negative control: unsafe on purpose".to_string()), "{reasons:?}");
    // The median of the repetitions exceeds the limit; the page names the worst of them as the proof.
    assert!(
        reasons.contains(&format!("blocked time 2.50 s > 2.00 s in trial {}", results.trials.len())),
        "{reasons:?}"
    );
}

#[test]
fn a_kept_strategy_that_was_not_challenged_is_marked() {
    let mut results = complete();
    let lucky = results.trials.iter_mut().find(|trial| trial.strategy == "selective").unwrap();
    lucky.backup.as_mut().unwrap().challenge = Some(reports::record::Challenge::default());
    let window = Window::open(&results);
    window.turn("#disk=off");
    let names = "[...document.querySelectorAll('#kept > li')].filter((item) => item.textContent.includes('not challenged')) \
                 .map((item) => item.querySelector('strong').textContent)";
    assert_eq!(window.texts(names), ["selective"]);
}

#[test]
fn entries_are_in_the_address_and_invalid_ones_are_reported() {
    let window = Window::open(&published("large-options-1GiB"));
    let enter = |name: &str, value: &str| {
        window.run(&format!(
            "{{ const input = document.getElementById('{name}'); input.value = '{value}'; \
             input.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
        ));
    };
    enter("rpo", "1h30m");
    enter("size", "2 GiB");
    assert_eq!(window.run("location.hash"), "#size=2+GiB&rpo=1h30m");
    enter("rpo", "soon");
    assert_eq!(window.run("document.getElementById('rpo').getAttribute('aria-invalid')"), "true");
    let hint = window.run("document.getElementById('rpo-hint').textContent");
    assert_eq!(hint, "not valid: write it as 90s or 1h30m");
    window.go("rto=4s");
    assert_eq!(window.run("document.getElementById('rto').value"), "4s");
    window.run("document.querySelector('#objectives button[type=reset]').click()");
    assert_eq!(window.run("document.getElementById('rto').value"), "10m");
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn units_are_read_as_people_write_them() {
    let window = Window::open(&published("sizes-1GiB"));
    let durations = json!([5400.0, 90.0, 0.25, 86400.0, 300.0, null, null, null]);
    let read = "['1h30m', '90s', '250 ms', '1d', '5 min', '90', 'soon', '5m soon'].map((text) => parseDuration(text) ?? null)";
    assert_eq!(
        window.run(&format!("JSON.stringify({read})")),
        serde_json::to_string(&durations).unwrap().replace(".0", "")
    );
    let sizes = "['17GiB', '300 MB', '1k', '0 GiB', 'large'].map((text) => parseSize(text) ?? null)";
    assert_eq!(window.run(&format!("JSON.stringify({sizes})")), "[18253611008,300000000,1024,null,null]");
}

/// A run at two sizes: the published one, and one of half the size that took a little more than half the time.
fn two_sizes() -> Results {
    let mut results = complete();
    let halved = |seconds: &mut Option<f64>| *seconds = seconds.map(|seconds| 0.55 * seconds);
    let smaller = results.trials.iter().map(|trial| {
        let mut trial = trial.clone();
        trial.id += "-smaller";
        trial.dataset.target_bytes /= 2;
        trial.dataset.bytes /= 2;
        if let Some(backup) = &mut trial.backup {
            halved(&mut backup.seconds);
        }
        if let Some(impact) = &mut trial.impact {
            halved(&mut impact.blocked_seconds);
        }
        if let Some(restore) = &mut trial.restore {
            halved(&mut restore.recovery_seconds);
        }
        trial
    });
    let smaller: Vec<Trial> = smaller.collect();
    results.trials.extend(smaller);
    results
}

/// Loads that were not tested: between the sizes, beyond them, at other rates.
const UNTRIED: [(f64, f64); 5] = [(0.7, 50.0), (4.0, 50.0), (17.0, 50.0), (1.0, 10.0), (2.0, 200.0)];
const GIB: f64 = 1_073_741_824.0;

#[test]
fn predictions_are_those_of_the_sizing_model() {
    let results = two_sizes();
    let model = sizing::fit(&[&results]);
    let window = Window::open(&results);
    for (gib, rate) in UNTRIED {
        for interval_seconds in [None, Some(600.0)] {
            let load = Load { bytes: gib * GIB, rate, interval_seconds };
            let asked = serde_json::to_string(&load).unwrap();
            let shown = window.run(&format!("DATA.sizing.contenders.map((one) => predict(one, {asked}))"));
            for (contender, shown) in model.contenders.iter().zip(shown.as_array().unwrap()) {
                let expected = serde_json::to_value(sizing::predict(contender, &load)).unwrap();
                assert_close(&expected, shown, &format!("{} under {load:?}", contender.label));
            }
        }
    }
    assert!(model.contenders.len() > 10);
}

/// The same structure with the same numbers, except for the last digits.
fn assert_close(expected: &Value, shown: &Value, what: &str) {
    match (expected, shown) {
        (Value::Object(expected), Value::Object(shown)) => {
            assert_eq!(expected.len(), shown.len(), "{what}: {expected:?} {shown:?}");
            for (name, value) in expected {
                assert_close(value, &shown[name], &format!("{what}, {name}"));
            }
        }
        (Value::Number(expected), Value::Number(shown)) => {
            let (expected, shown) = (expected.as_f64().unwrap(), shown.as_f64().unwrap());
            assert!((expected - shown).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {expected} {shown}");
        }
        (expected, shown) => assert_eq!(expected, shown, "{what}"),
    }
}

#[test]
fn at_an_untested_load_the_page_agrees_with_advise() {
    let results = two_sizes();
    let model = sizing::fit(&[&results]);
    let window = Window::open(&results);
    let objectives = Objectives {
        rpo_seconds: Some(660.0),
        rto_seconds: Some(60.0),
        blocked_seconds: Some(3.0),
        survive_disk_loss: true,
    };
    let mut numbers = BTreeSet::new();
    for (gib, rate) in UNTRIED {
        let load = Load { bytes: gib * GIB, rate, interval_seconds: Some(600.0) };
        window.go(&format!(
            "size={gib}GiB&rate={rate}&interval=10m&rpo=660s&rto=60s&blocked=3s&latency=&disk=on"
        ));
        let advice = sizing::decide::decide(&model, &load, &objectives, None);
        let meets = advice.judgements.iter().filter(|one| one.meets());
        let expected: BTreeSet<String> = meets.map(|one| one.contender.trials[0].clone()).collect();
        assert_eq!(ids(&window, "kept"), expected, "{load:?}");
        let certain = advice.judgements.iter().filter(|one| one.meets() && one.is_certain()).count();
        assert_eq!(window.run("document.querySelectorAll('#kept > li.certain').length"), certain, "{load:?}");
        let marked = window.run("document.querySelectorAll('#kept > li .predicted').length");
        assert_eq!(marked, expected.len());
        numbers.insert(expected.len());
    }
    assert!(numbers.len() > 2, "the loads must differ: {numbers:?}");
    let reasons = window
        .texts("[...document.querySelectorAll('#excluded .reasons li')].map((item) => item.textContent)");
    assert!(
        reasons.iter().any(|reason| reason.contains("at 1.00 GiB and 50 writes/s in trial ")),
        "{reasons:?}"
    );
}

#[test]
fn a_backup_that_every_commit_restarts_may_never_complete() {
    let window = Window::open(&published("sizes-1GiB"));
    let point = |pass: f64, rate: f64| {
        window.run(&format!("restarting({{ point: {pass}, low: {pass}, high: {pass} }}, {rate}).point"))
    };
    assert_eq!(point(1.5, 0.0), 1.5);
    let expected = reports::advise::expected_seconds(1.5, 4.0).unwrap();
    assert!((point(1.5, 4.0).as_f64().unwrap() - expected).abs() < 1e-9 * expected);
    assert_eq!(point(1.5, 50.0), Value::Null);
}
