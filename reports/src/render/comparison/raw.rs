//! The comparison for programs: one flat row per group of repetitions, with raw numbers.

use serde_json::Value;

use super::blocks::blocks;
use super::measures;
use crate::compare::{Group, Outcome, Spread};
use crate::record::{Results, Trial, Window};
use crate::render::conditions;
use crate::render::family::Family;
use crate::render::table::{Cell, Column, Rank, Table};

/// The rows of [`super::comparison`] as raw numbers, with keys that state the unit: each measurement is given as
/// median, minimum and maximum over the repetitions.
pub fn raw(results: &Results) -> Table {
    let columns = columns();
    let mut table = Table::new(columns.iter().map(|(key, _)| Column::text(key, key, Rank::Always)).collect());
    for group in blocks(&results.trials).iter().flat_map(|(_, groups)| groups) {
        let cell = |value: Value| Cell { text: value.to_string(), value };
        table.push(columns.iter().map(|(_, value)| cell(value(group))).collect());
    }
    table
}

type Of = Box<dyn Fn(&Group<'_>) -> Value>;

fn columns() -> Vec<(String, Of)> {
    let mut columns: Vec<(String, Of)> = Vec::new();
    for (key, of) in texts() {
        columns.push((key.to_owned(), Box::new(of)));
    }
    for measure in measures::all() {
        spread(&mut columns, measure.key, measure.of);
    }
    spread(&mut columns, "max_write_latency_baseline_ms", |trial| baseline(trial)?.max_ms);
    spread(&mut columns, "max_write_latency_during_ms", |trial| during(trial)?.max_ms);
    spread(&mut columns, "p99_write_latency_baseline_ms", |trial| baseline(trial)?.p99_ms);
    spread(&mut columns, "p99_write_latency_during_ms", |trial| during(trial)?.p99_ms);
    spread(&mut columns, "writes_in_baseline", |trial| Some(baseline(trial)?.writes? as f64));
    spread(&mut columns, "writes_during", |trial| Some(during(trial)?.writes? as f64));
    columns
}

type OfGroup = fn(&Group<'_>) -> Value;

fn texts() -> [(&'static str, OfGroup); 19] {
    [
        ("engine", |group| group.first.engine.clone().into()),
        ("application", |group| group.first.app.clone().into()),
        ("journal_mode", |group| group.first.workload.journal_mode.clone().into()),
        ("file_system", |group| group.first.file_system.clone().into()),
        ("dataset", |group| group.first.dataset.profile.clone().into()),
        ("target_bytes", |group| group.first.dataset.target_bytes.into()),
        ("writes_per_second", |group| group.first.workload.writes_per_second.into()),
        ("page_cache", |group| group.first.workload.cache.clone().into()),
        ("strategy", |group| group.first.strategy.clone().into()),
        ("variant", |group| group.first.variant.clone().into()),
        ("label", |group| conditions::label(group.first).into()),
        ("family", |group| Family::of(group).key().into()),
        ("control", |group| group.first.control.into()),
        ("survives_disk_loss", |group| group.first.survives_disk_loss.into()),
        ("fault", |group| group.first.fault.as_ref().map(|fault| fault.label.clone()).into()),
        ("trials", |group| group.trials.len().into()),
        ("verdict", |group| group.verdict().name().into()),
        ("as_expected", |group| {
            group.trials.iter().all(|trial| Outcome::of_trial(trial) == Outcome::AsPromised).into()
        }),
        ("challenged", |group| group.challenged().into()),
    ]
}

/// The suffix of a key, and the number of a spread that belongs to it.
type Part = (&'static str, fn(Spread) -> f64);

fn spread(columns: &mut Vec<(String, Of)>, key: &str, of: fn(&Trial) -> Option<f64>) {
    let parts: [Part; 3] =
        [("", |spread| spread.median), ("_min", |spread| spread.min), ("_max", |spread| spread.max)];
    for (suffix, part) in parts {
        let value = move |group: &Group<'_>| group.spread(of).map(part).into();
        columns.push((format!("{key}{suffix}"), Box::new(value)));
    }
}

fn baseline(trial: &Trial) -> Option<&Window> {
    trial.impact.as_ref()?.reference.as_ref()
}

fn during(trial: &Trial) -> Option<&Window> {
    trial.impact.as_ref()?.during.as_ref()
}
