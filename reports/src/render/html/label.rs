//! How the rows of the comparison differ, and what they have in common.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compare::Group;
use crate::record::Trial;
use crate::render::conditions::{self, Conditions};

/// The variant of a strategy, without the name of the strategy.
pub(super) fn variant(trial: &Trial) -> String {
    let label = conditions::label(trial);
    label.strip_prefix(&trial.strategy).unwrap_or(&label).trim().to_string()
}

/// All settings of a trial, with their values as a user writes them.
pub(super) fn settings(trial: &Trial) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Null => "not set".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    trial.settings.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The version of the tool that a strategy is named after, which can matter as much as a setting: `mydumper 0.10.0`.
fn version(trial: &Trial) -> Option<String> {
    let letters = |name: &str| name.replace(['-', '_'], "");
    let (tool, text) = trial.versions.iter().find(|(tool, _)| letters(tool) == letters(&trial.strategy))?;
    let number = text.split(' ').find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    Some(format!("{tool} {}", number.trim_end_matches(',')))
}

/// True for a value that disables something or leaves it unset. Such a setting has no effect, so rows do not show it.
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

/// The conditions and settings that all rows of a comparison share, and the remarks that remain for each row.
pub(super) struct Shared {
    /// The conditions of all rows and, where there are several subjects, the further conditions of each of them.
    pub conditions: Vec<(String, String)>,
    /// The settings that have the same value in all strategies that have them.
    pub settings: Vec<String>,
    names: BTreeSet<String>,
    subjects: BTreeMap<String, Conditions>,
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
        let subjects: BTreeMap<String, Conditions> =
            subjects.into_iter().map(|(subject, trials)| (subject, Conditions::of(&trials))).collect();
        let set = values.iter().filter(|(_, found)| !is_unset(found[0].1));
        Shared {
            settings: set.map(|(key, found)| conditions::setting(key, found[0].1)).collect(),
            names: values.keys().map(ToString::to_string).collect(),
            conditions: conditions_of(&subjects),
            subjects,
        }
    }

    /// How a row differs from others besides its variant: its subject where there are several, its unusual
    /// conditions, the settings that neither the variant names nor all rows share, and the version of its tool.
    pub(super) fn remarks_on(&self, trial: &Trial) -> Vec<String> {
        let subject = conditions::subject(trial);
        let mut remarks = Vec::new();
        if let Some(conditions) = self.subjects.get(&subject) {
            let difference = conditions.difference(trial);
            remarks.extend(difference.split(", ").filter(|text| !text.is_empty()).map(str::to_string));
        }
        if self.subjects.len() > 1 {
            remarks.insert(0, subject);
        }
        let own = trial.settings.iter().filter(|(key, value)| {
            !is_unset(value) && !trial.variant.contains(&format!("{key}=")) && !self.names.contains(*key)
        });
        remarks.extend(own.map(|(key, value)| conditions::setting(key, value)));
        remarks.extend(version(trial));
        remarks
    }
}

/// The conditions that all subjects share and, for each subject, those that it does not share with the others.
fn conditions_of(subjects: &BTreeMap<String, Conditions>) -> Vec<(String, String)> {
    let texts: Vec<String> = subjects.values().map(Conditions::shared).collect();
    let parts: Vec<Vec<&str>> = texts.iter().map(|text| text.split("; ").collect()).collect();
    let is_common = |part: &&str| parts.iter().all(|others| others.contains(part));
    let Some(first) = parts.first() else { return Vec::new() };
    let common: Vec<&str> = first.iter().copied().filter(is_common).collect();
    // The name of a subject already states these.
    let is_named =
        |part: &&str| ["engine ", "application ", "journal mode "].iter().any(|name| part.starts_with(name));
    let own = subjects.keys().zip(&parts).map(|(subject, parts)| {
        let own = parts.iter().copied().filter(|part| !is_common(part) && !is_named(part));
        (subject.clone(), own.collect::<Vec<_>>().join("; "))
    });
    let all = std::iter::once(("All rows".to_string(), common.join("; "))).chain(own);
    all.filter(|(_, text)| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Shared, variant};
    use crate::compare::groups;
    use crate::example;
    use crate::record::Verdict::Restorable;

    #[test]
    fn a_variant_is_the_label_without_the_strategy() {
        let mut trial = example::trial("a", Restorable);
        assert_eq!(variant(&trial), "");
        trial.variant = "step_pages=100".into();
        assert_eq!(variant(&trial), "step_pages=100");
    }

    #[test]
    fn shared_settings_are_stated_once() {
        let mut trials = ["a", "b", "c"].map(|name| example::trial(name, Restorable));
        for (trial, settings) in trials.iter_mut().zip([
            json!({"timeout_ms": 10_000, "level": 3}),
            json!({"timeout_ms": 10_000, "level": 4}),
            json!({"threads": 2, "binary": null, "pause_ms": 0}),
        ]) {
            trial.settings = serde_json::from_value(settings).unwrap();
        }
        let shared = Shared::of(&groups(&trials));
        assert_eq!(shared.settings, ["timeout_ms=10000"]);
        assert_eq!(shared.remarks_on(&trials[0]), ["level=3"]);
        assert_eq!(shared.remarks_on(&trials[2]), ["threads=2"]);
        trials[2].strategy = "my-dumper".into();
        trials[2].versions.insert("mydumper".into(), "mydumper 0.10.0, built against MySQL 11.8.3".into());
        assert_eq!(shared.remarks_on(&trials[2]), ["threads=2", "mydumper 0.10.0"]);
    }

    #[test]
    fn conditions_of_one_subject_are_stated_for_that_subject() {
        let mut trials = ["a", "b"].map(|name| example::trial(name, Restorable));
        trials[1].engine = "mysql".into();
        trials[1].workload.journal_mode = None;
        trials[1].workload.synchronous = None;
        let shared = Shared::of(&groups(&trials));
        let subjects: Vec<&str> = shared.conditions.iter().map(|(subject, _)| subject.as_str()).collect();
        assert_eq!(subjects, ["All rows", "embedded on sqlite (wal)"]);
        assert_eq!(shared.conditions[1].1, "synchronous full");
        assert_eq!(shared.remarks_on(&trials[1]), ["embedded on mysql"]);
    }
}
