//! The medians of a run, for programs that follow them from run to run.

use crate::compare::Spread;
use crate::gate::{METRICS, Metric, subject};
use crate::record::{Results, Trial};

/// The measurements of one metric of one subject.
pub(super) struct Measured<'a> {
    pub subject: &'a str,
    pub metric: Metric,
    pub spread: Spread,
}

/// The metrics of each subject of a run, over its repetitions.
pub(super) fn measured(results: &Results) -> Vec<Measured<'_>> {
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
