//! The results of a comparison, for people and for other programs.

mod benchmark;
mod junit;
mod markdown;
mod openmetrics;
mod table;

pub use benchmark::benchmark_json;
pub use junit::junit;
pub use markdown::markdown;
pub use openmetrics::openmetrics;
pub use table::{WHY, reasons, summary, table};

use super::{Comparison, METRICS, Metric, subject};
use crate::compare::Spread;
use crate::record::{Results, Trial};

/// All findings of a gate: the run that is judged, and its comparisons.
pub struct Findings<'a> {
    /// The run that is judged.
    pub results: &'a Results,
    /// The comparisons with a baseline and of pairs within the run; empty where nothing was compared.
    pub comparisons: &'a [Comparison],
}

/// The measurements of one metric of one subject.
struct Measured<'a> {
    subject: &'a str,
    metric: Metric,
    spread: Spread,
}

/// The metrics of each subject of a run, over its repetitions.
fn measured(results: &Results) -> Vec<Measured<'_>> {
    let mut subjects: Vec<(&str, Vec<&Trial>)> = Vec::new();
    for trial in &results.trials {
        match subjects.iter_mut().find(|(name, _)| *name == subject(trial)) {
            Some((_, trials)) => trials.push(trial),
            None => subjects.push((subject(trial), vec![trial])),
        }
    }
    let mut all = Vec::new();
    for (subject, trials) in subjects {
        for metric in METRICS {
            let values = trials.iter().filter_map(|trial| metric.value(trial));
            all.extend(Spread::of(values).map(|spread| Measured { subject, metric, spread }));
        }
    }
    all
}
