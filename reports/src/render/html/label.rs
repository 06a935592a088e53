//! What tells the rows of a comparison apart, in words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compare::Group;
use crate::record::{Trial, Verdict};
use crate::render::{conditions, number};

/// The settings of a variant as a reader says them: the scenario's name for it, or the settings that it names.
pub(super) fn variant(trial: &Trial) -> String {
    let named: Vec<&String> = trial.settings.keys().filter(|key| names(&trial.variant, key)).collect();
    if named.is_empty() {
        return trial.variant.clone();
    }
    named.iter().map(|key| setting(key, &trial.settings[*key])).collect::<Vec<_>>().join(", ")
}

/// Whether the text of a variant gives the value of a setting.
fn names(variant: &str, key: &str) -> bool {
    let given = format!("{key}=");
    variant.starts_with(&given) || variant.contains(&format!(", {given}"))
}

/// A setting in words: `pinned`, `interval 15.0 s`, `monitor-interval 50ms`.
pub(super) fn setting(key: &str, value: &Value) -> String {
    let words = |key: &str| key.replace('_', " ");
    let with_unit = |suffix: &str, format: fn(f64) -> String| {
        let name = key.strip_suffix(suffix)?;
        Some(format!("{} {}", words(name), format(value.as_f64()?)))
    };
    let measured = with_unit("_seconds", number::seconds)
        .or_else(|| with_unit("_ms", number::milliseconds))
        .or_else(|| with_unit("_bytes", number::bytes));
    measured.unwrap_or_else(|| match value {
        Value::Bool(true) => words(key),
        Value::Bool(false) => format!("not {}", words(key)),
        Value::Object(entries) if !entries.is_empty() => {
            entries.iter().map(|(name, value)| setting(name, value)).collect::<Vec<_>>().join(", ")
        }
        value => format!("{} {}", words(key), plain(value)),
    })
}

/// A value of JSON without its quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// True for a value that leaves something off or unset: it is among all settings of a trial, and decides nothing.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(entries) => entries.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}

/// What all rows of a comparison share, said once, and what is left for each row.
pub(super) struct Shared {
    /// The conditions of all rows, and where there are several subjects what else holds for each of them.
    pub conditions: Vec<(String, String)>,
    /// The settings that have the same value wherever they are known, as words.
    pub settings: Vec<String>,
    names: BTreeSet<String>,
    has_many_subjects: bool,
}

impl Shared {
    pub(super) fn of(groups: &[Group<'_>]) -> Shared {
        let mut subjects: BTreeMap<String, Vec<&Trial>> = BTreeMap::new();
        let mut values: BTreeMap<&str, Vec<(&str, &Value)>> = BTreeMap::new();
        for group in groups {
            subjects.entry(conditions::subject(group.first)).or_default().extend(&group.trials);
            for (key, value) in &group.first.settings {
                values.entry(key).or_default().push((&group.first.strategy, value));
            }
        }
        values.retain(|_, found| {
            let (strategy, value) = found[0];
            found.iter().any(|(other, _)| *other != strategy)
                && found.iter().all(|(_, other)| *other == value)
        });
        let set = values.iter().filter(|(_, found)| !is_unset(found[0].1));
        Shared {
            settings: set.map(|(key, found)| setting(key, found[0].1)).collect(),
            names: values.keys().map(ToString::to_string).collect(),
            has_many_subjects: subjects.len() > 1,
            conditions: conditions_of_subjects(&subjects),
        }
    }

    /// The conditions of a row that are not those of all rows of its subject.
    pub(super) fn conditions_of(&self, group: &Group<'_>, groups: &[Group<'_>]) -> Vec<String> {
        let subject = conditions::subject(group.first);
        let same = groups.iter().filter(|other| conditions::subject(other.first) == subject);
        let trials: Vec<&Trial> = same.flat_map(|other| other.trials.iter().copied()).collect();
        let varying = conditions::varying(&trials);
        let texts = varying.iter().map(|condition| (condition.text)(group.first));
        let mut parts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
        if self.has_many_subjects {
            parts.insert(0, subject);
        }
        parts
    }

    /// The settings of a row that neither its variant names nor all rows share.
    pub(super) fn settings_of(&self, trial: &Trial) -> Vec<String> {
        let own = trial.settings.iter().filter(|(key, value)| {
            !is_unset(value) && !names(&trial.variant, key) && !self.names.contains(*key)
        });
        own.map(|(key, value)| setting(key, value)).collect()
    }
}

/// The conditions that all subjects share, and of each subject those that it does not share with the others.
fn conditions_of_subjects(subjects: &BTreeMap<String, Vec<&Trial>>) -> Vec<(String, String)> {
    let texts: Vec<String> = subjects.values().map(|trials| conditions::shared(trials)).collect();
    let parts: Vec<Vec<&str>> = texts.iter().map(|text| text.split("; ").collect()).collect();
    let is_common = |part: &&str| parts.iter().all(|others| others.contains(part));
    let Some(first) = parts.first() else { return Vec::new() };
    let common: Vec<&str> = first.iter().copied().filter(is_common).collect();
    // The name of a subject says these.
    let is_named =
        |part: &&str| ["engine ", "application ", "journal mode "].iter().any(|name| part.starts_with(name));
    let own = subjects.keys().zip(&parts).map(|(subject, parts)| {
        let own = parts.iter().copied().filter(|part| !is_common(part) && !is_named(part));
        (subject.clone(), own.collect::<Vec<_>>().join("; "))
    });
    let all = std::iter::once(("All rows".to_string(), common.join("; "))).chain(own);
    all.filter(|(_, text)| !text.is_empty()).collect()
}

/// A verdict in words.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unverified => "inconclusive",
        Verdict::TimedOut => "timed out",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Shared, setting, variant};
    use crate::compare::groups;
    use crate::example;
    use crate::record::Verdict::Restorable;

    #[test]
    fn settings_are_words_with_units() {
        assert_eq!(setting("interval_seconds", &json!(15)), "interval 15.0 s");
        assert_eq!(setting("pause_ms", &json!(0)), "pause 0 s");
        assert_eq!(setting("pinned", &json!(true)), "pinned");
        assert_eq!(setting("pinned", &json!(false)), "not pinned");
        assert_eq!(setting("database", &json!({"monitor-interval": "50ms"})), "monitor-interval 50ms");
        assert_eq!(setting("step_pages", &json!(-1)), "step pages -1");
    }

    #[test]
    fn a_variant_is_named_by_its_scenario_or_by_its_settings() {
        let mut trial = example::trial("a", Restorable);
        trial.settings = serde_json::from_value(json!({"pinned": true, "step_pages": 100})).unwrap();
        trial.variant = "pinned=true, step_pages=100".into();
        assert_eq!(variant(&trial), "pinned, step pages 100");
        trial.variant = "our own steps".into();
        assert_eq!(variant(&trial), "our own steps");
    }

    #[test]
    fn what_rows_share_is_said_once() {
        let mut trials = ["a", "b", "c"].map(|name| example::trial(name, Restorable));
        for (trial, settings) in trials.iter_mut().zip([
            json!({"timeout_ms": 10_000, "level": 3}),
            json!({"timeout_ms": 10_000, "level": 4}),
            json!({"threads": 2, "binary": null}),
        ]) {
            trial.settings = serde_json::from_value(settings).unwrap();
        }
        let groups = groups(&trials);
        let shared = Shared::of(&groups);
        assert_eq!(shared.settings, ["timeout 10.0 s"]);
        assert_eq!(shared.settings_of(&trials[0]), ["level 3"]);
        assert_eq!(shared.settings_of(&trials[2]), ["threads 2"]);
        assert!(shared.conditions_of(&groups[0], &groups).is_empty());
    }
}
