//! Thresholds: limits that a scenario sets on measurements, independent of any baseline.

use crate::record::{Impact, Results, Trial, Verdict, Window};

/// A measurement that a threshold can be set on.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// The key in a scenario; its unit is part of the name.
    pub name: &'static str,
    value: fn(&Trial) -> Option<f64>,
}

/// All measurements that thresholds can be set on, sorted by name.
pub const MEASUREMENTS: [Measurement; 13] = [
    Measurement {
        name: "artifact_bytes",
        value: |trial| Some(trial.backup.as_ref()?.artifact_bytes? as f64),
    },
    Measurement { name: "backup_seconds", value: |trial| trial.backup.as_ref()?.seconds },
    Measurement { name: "blocked_seconds", value: |trial| completed(trial)?.blocked_seconds },
    Measurement { name: "copy_speed", value: |trial| trial.backup.as_ref()?.vs_copy },
    Measurement { name: "downtime_seconds", value: |trial| completed(trial)?.downtime_seconds },
    Measurement { name: "longest_blocked_seconds", value: |trial| completed(trial)?.longest_blocked_seconds },
    Measurement { name: "lost_seconds", value: |trial| trial.recovery_point.as_ref()?.lost_seconds },
    Measurement {
        name: "lost_seconds_at_completion",
        value: |trial| trial.recovery_point.as_ref()?.lost_seconds_at_completion,
    },
    Measurement {
        name: "lost_writes_at_completion",
        value: |trial| Some(trial.recovery_point.as_ref()?.lost_writes_at_completion? as f64),
    },
    Measurement { name: "max_write_latency_ms", value: |trial| during(trial)?.max_ms },
    Measurement { name: "p99_write_latency_ms", value: |trial| during(trial)?.p99_ms },
    Measurement { name: "recovery_seconds", value: |trial| trial.restore.as_ref()?.recovery_seconds },
    Measurement { name: "restore_seconds", value: |trial| trial.restore.as_ref()?.seconds },
];

/// The effect of a completed backup on the application. A backup that was ended early would show too small an effect.
fn completed(trial: &Trial) -> Option<&Impact> {
    trial.backup.as_ref()?.seconds?;
    trial.impact.as_ref()
}

fn during(trial: &Trial) -> Option<&Window> {
    completed(trial)?.during.as_ref()
}

/// A limit: `recovery_seconds < 60`.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    measurement: Measurement,
    relation: Relation,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// The operators, the longer ones first.
const RELATIONS: [(&str, Relation); 4] =
    [("<=", Relation::AtMost), (">=", Relation::AtLeast), ("<", Relation::Less), (">", Relation::More)];

/// Why a threshold is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no such measurement.
    Unknown,
    /// The limit is not valid; the text says how to write one.
    NoLimit(String),
}

impl Threshold {
    /// Parses a threshold as scenarios state it: `recovery_seconds = "< 60"`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, limit: &str) -> Result<Threshold, Mistake> {
        let known = MEASUREMENTS.into_iter().find(|measurement| measurement.name == name);
        let measurement = known.ok_or(Mistake::Unknown)?;
        let found = RELATIONS.iter().find_map(|(sign, relation)| {
            let bound: f64 = limit.trim().strip_prefix(sign)?.trim().parse().ok()?;
            bound.is_finite().then_some(Threshold { measurement, relation: *relation, bound })
        });
        found.ok_or_else(|| {
            let says = "write one of <, <=, > and >= followed by a number";
            Mistake::NoLimit(format!("'{limit}' is not a limit: {says}, such as \"< 60\""))
        })
    }

    fn holds(&self, value: f64) -> bool {
        match self.relation {
            Relation::Less => value < self.bound,
            Relation::AtMost => value <= self.bound,
            Relation::More => value > self.bound,
            Relation::AtLeast => value >= self.bound,
        }
    }

    fn text(&self) -> String {
        let sign =
            RELATIONS.iter().find(|(_, relation)| *relation == self.relation).map_or("", |(sign, _)| sign);
        format!("{} {sign} {}", self.measurement.name, self.bound)
    }
}

/// The result of a threshold in a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The trial's id.
    pub trial: String,
    /// The threshold as text: `recovery_seconds < 60`.
    pub threshold: String,
    /// What was measured, in the unit of the measurement's name; null where it was not measured.
    pub value: Option<f64>,
    /// Whether the value is within the threshold; null where it was not measured although the database was restored.
    pub holds: Option<bool>,
}

impl Finding {
    /// The result as a sentence.
    pub fn sentence(&self) -> String {
        match (self.value, self.holds) {
            (Some(value), holds) => {
                let does = if holds == Some(true) { "meets" } else { "breaks" };
                let unit = unit(&self.threshold);
                format!("{}: {value}{unit} {does} the threshold {}", self.trial, self.threshold)
            }
            (None, _) => format!("{}: nothing was measured for the threshold {}", self.trial, self.threshold),
        }
    }
}

/// The unit that a measurement's name ends in, or has in it, as it follows a number.
fn unit(name: &str) -> &'static str {
    let units = [("_seconds", " s"), ("_ms", " ms"), ("_bytes", " bytes"), ("_writes", " writes")];
    units.into_iter().find_map(|(part, unit)| name.contains(part).then_some(unit)).unwrap_or_default()
}

/// The results of the thresholds of a run. Where a trial did not restore its database, a value that was not measured
/// breaks no threshold: the verdict covers that.
pub fn judge(results: &Results) -> Vec<Finding> {
    results.trials.iter().flat_map(of_trial).collect()
}

fn of_trial(trial: &Trial) -> Vec<Finding> {
    let thresholds = trial.thresholds.iter().filter_map(|(name, limit)| Threshold::parse(name, limit).ok());
    let finding = |threshold: Threshold| {
        let value = (threshold.measurement.value)(trial).filter(|value| value.is_finite());
        let finding = Finding {
            trial: trial.id.clone(),
            threshold: threshold.text(),
            value,
            holds: value.map(|value| threshold.holds(value)),
        };
        (value.is_some() || trial.verdict == Verdict::Restorable).then_some(finding)
    };
    thresholds.filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::*;

    fn judged(thresholds: &[(&str, &str)], verdict: Verdict) -> Vec<String> {
        let mut trial = example::trial("one-step", verdict);
        trial.thresholds = thresholds.iter().map(|(name, limit)| ((*name).into(), (*limit).into())).collect();
        judge(&example::results(vec![trial])).iter().map(Finding::sentence).collect()
    }

    #[test]
    fn a_threshold_is_met_or_broken_by_the_measured_value() {
        let all = [
            ("backup_seconds", "<= 1.25"),
            ("blocked_seconds", "< 0"),
            ("copy_speed", ">0.9"),
            ("recovery_seconds", ">= 1.4"),
        ];
        insta::assert_snapshot!(judged(&all, Restorable).join("\n"), @r"
        one-step-1: 1.25 s meets the threshold backup_seconds <= 1.25
        one-step-1: 0 s breaks the threshold blocked_seconds < 0
        one-step-1: 0.8 breaks the threshold copy_speed > 0.9
        one-step-1: 1.4 s meets the threshold recovery_seconds >= 1.4
        ");
    }

    #[test]
    fn missing_measurements_are_reported_only_for_restorable_trials() {
        let mut trial = example::trial("one-step", Restorable);
        trial.backup.as_mut().unwrap().vs_copy = None;
        trial.thresholds.insert("copy_speed".into(), "> 1".into());
        let found = judge(&example::results(vec![trial]));
        assert_eq!((found.len(), found[0].holds), (1, None));
        assert_eq!(
            judged(&[("recovery_seconds", "< 1"), ("blocked_seconds", "< 1")], Stalled),
            Vec::<String>::new()
        );
    }

    #[test]
    fn invalid_thresholds_are_refused() {
        assert_eq!(Threshold::parse("recovery", "< 1").unwrap_err(), Mistake::Unknown);
        for limit in ["60", "< sixty", "= 60", "< inf", ""] {
            assert!(
                matches!(Threshold::parse("recovery_seconds", limit), Err(Mistake::NoLimit(_))),
                "{limit}"
            );
        }
        assert_eq!(Threshold::parse("copy_speed", ">0.5").unwrap().text(), "copy_speed > 0.5");
    }

    #[test]
    fn the_measurements_are_sorted() {
        assert!(MEASUREMENTS.is_sorted_by_key(|measurement| measurement.name));
    }
}
