//! JSON for services for continuous benchmarking: a list of name, unit, value and range; smaller is better.

use serde::Serialize;

use super::measured::{Measured, measured};
use crate::record::Results;

#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    unit: &'a str,
    value: f64,
    range: String,
    extra: String,
}

/// Rounded, without the trailing digits of binary fractions.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The medians of a run. Times are multiples of the plain copy, because each CI job may run on another machine.
pub fn benchmark_json(results: &Results) -> String {
    let entry = |one: &Measured<'_>| Entry {
        name: format!("{} - {}", one.subject, one.metric.name),
        unit: one.metric.unit.name(),
        value: one.spread.median,
        range: format!("± {}", rounded((one.spread.max - one.spread.min) / 2.0)),
        extra: format!("median of {}", one.spread.count),
    };
    let entries: Vec<Entry<'_>> = measured(results).iter().map(entry).collect();
    serde_json::to_string_pretty(&entries).expect("entries are plain data")
}
