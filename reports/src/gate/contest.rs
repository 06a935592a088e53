//! Selects the trials that are compared with each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::record::{Results, Trial};

/// Why two runs cannot be compared, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Trials of a baseline and of a candidate that differ only in what is compared, and by chance.
pub(super) struct Contest<'a> {
    /// The id that its trials share, without the repetition.
    pub(super) subject: String,
    pub(super) baseline: Vec<&'a Trial>,
    pub(super) candidate: Vec<&'a Trial>,
}

impl<'a> Contest<'a> {
    /// Pairs of trials with the same repetition, which had the same writes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a Trial, &'a Trial)> {
        self.baseline.iter().filter_map(|baseline| {
            let same = |trial: &&&Trial| trial.repetition == baseline.repetition;
            Some((*baseline, *self.candidate.iter().find(same)?))
        })
    }
}

/// The id of a trial without its repetition.
pub fn subject(trial: &Trial) -> &str {
    subject_of(&trial.id, trial.repetition)
}

/// An id without the repetition that it ends with.
pub fn subject_of(id: &str, repetition: u32) -> &str {
    id.strip_suffix(&format!("/{repetition}")).unwrap_or(id)
}

/// The part of a trial's id after the variant, without the repetition: subject, size and rate.
pub fn place_of(id: &str, repetition: u32) -> &str {
    subject_of(id, repetition).split_once('/').map_or("", |(_, place)| place)
}

/// True when a trial with this id belongs to the variant that a scenario refers to as `name`: by the variant's own
/// name, by its strategy, or by both, as at the beginning of the id.
pub fn is_variant(name: &str, id: &str, variant: &str) -> bool {
    variant == name || id.split('/').next() == Some(name)
}

/// A contest for each subject of the baseline, in its order, then for subjects that only the candidate has.
///
/// # Errors
/// When the runs have no trial in common, or trials with the same id ran under different conditions.
pub(super) fn of_runs<'a>(
    baseline: &'a Results,
    candidate: &'a Results,
) -> Result<Vec<Contest<'a>>, Refusal> {
    let mut contests: Vec<Contest<'a>> = Vec::new();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    let sides = [(&baseline.trials, false), (&candidate.trials, true)];
    for (trial, is_candidate) in
        sides.into_iter().flat_map(|(trials, side)| trials.iter().map(move |t| (t, side)))
    {
        let at = *place.entry(subject(trial)).or_insert_with(|| {
            contests.push(Contest { subject: subject(trial).into(), baseline: vec![], candidate: vec![] });
            contests.len() - 1
        });
        let contest = &mut contests[at];
        if is_candidate { &mut contest.candidate } else { &mut contest.baseline }.push(trial);
    }
    if !contests.iter().any(|contest| !contest.baseline.is_empty() && !contest.candidate.is_empty()) {
        return Err(Refusal(format!(
            "{} and {} have no trial in common: compare two runs of one scenario with the same sizes and rates",
            baseline.run.id, candidate.run.id
        )));
    }
    contests.iter().try_for_each(same_load)?;
    Ok(contests)
}

fn same_load(contest: &Contest<'_>) -> Result<(), Refusal> {
    for (baseline, candidate) in contest.pairs() {
        let (then, now) = (load(baseline), load(candidate));
        if let Some(name) = then.keys().find(|name| then[*name] != now[*name]) {
            return Err(Refusal(format!(
                "the trials of '{}' cannot be compared: {name} was {} and is {}; make both runs with the same scenario, \
                 size, rate and seed",
                contest.subject, then[name], now[name]
            )));
        }
    }
    Ok(())
}

/// The values that two trials must share besides their id, so that only the strategy differs.
fn load(trial: &Trial) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    let mut enter = |section: &str, record: Value, measured: &[&str]| {
        let Value::Object(fields) = record else { return };
        let declared = fields.into_iter().filter(|(name, _)| !measured.contains(&name.as_str()));
        values.extend(declared.map(|(name, value)| (format!("{section}.{name}"), value)));
    };
    let plain = "records are plain data";
    let measured = ["offered_writes_per_second", "cached_share", "extents"];
    enter("workload", serde_json::to_value(&trial.workload).expect(plain), &measured);
    // The same content may have another size in bytes with another version of an engine.
    let measured = ["bytes", "rows", "remarks"];
    enter("dataset", serde_json::to_value(&trial.dataset).expect(plain), &measured);
    values
}

/// A contest for each pair of variants that the scenario names, for each size, rate and subject. The first of a pair
/// is the baseline. Empty when the scenario names no pairs.
pub(super) fn of_pairs(results: &Results) -> Vec<Contest<'_>> {
    let pairs = results.run.conditions.get("pairs").and_then(Value::as_array).into_iter().flatten();
    let mut contests = Vec::new();
    for pair in pairs {
        let (Some(a), Some(b)) = (pair["a"].as_str(), pair["b"].as_str()) else { continue };
        let mut places: Vec<&str> = of_variant(results, a).map(place).collect();
        let mut known = BTreeSet::new();
        places.retain(|place| known.insert(*place));
        contests.extend(places.into_iter().map(|there| Contest {
            subject: format!("{a} → {b}/{there}"),
            baseline: of_variant(results, a).filter(|trial| place(trial) == there).collect(),
            candidate: of_variant(results, b).filter(|trial| place(trial) == there).collect(),
        }));
    }
    contests
}

fn of_variant<'a>(results: &'a Results, name: &str) -> impl Iterator<Item = &'a Trial> {
    results.trials.iter().filter(move |trial| is_variant(name, &trial.id, &trial.variant))
}

fn place(trial: &Trial) -> &str {
    place_of(&trial.id, trial.repetition)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::example;
    use crate::record::Verdict::Restorable;

    fn trial(variant: &str, repetition: u32) -> Trial {
        let mut trial = example::trial("external", Restorable);
        trial.id = format!("external:{variant}/wal/4MiB/10/{repetition}");
        (trial.variant, trial.repetition) = (variant.into(), repetition);
        trial
    }

    #[test]
    fn trials_are_paired_by_repetition_and_unmatched_ones_stay_unpaired() {
        let baseline = example::results(vec![trial("a", 1), trial("a", 2), trial("gone", 1)]);
        let candidate = example::results(vec![trial("a", 2), trial("new", 1)]);
        let contests = of_runs(&baseline, &candidate).unwrap();
        let found: Vec<(&str, usize, usize, usize)> = contests
            .iter()
            .map(|c| (c.subject.as_str(), c.baseline.len(), c.candidate.len(), c.pairs().count()))
            .collect();
        let at = |variant: &str| format!("external:{variant}/wal/4MiB/10");
        assert_eq!(
            found,
            [(at("a").as_str(), 2, 1, 1), (at("gone").as_str(), 1, 0, 0), (at("new").as_str(), 0, 1, 0)]
        );
    }

    #[test]
    fn other_conditions_are_refused_with_what_differs() {
        let baseline = example::results(vec![trial("a", 1)]);
        let mut candidate = baseline.clone();
        candidate.trials[0].workload.writers = 8;
        let refusal = |candidate: &Results| of_runs(&baseline, candidate).err().unwrap().to_string();
        let writers = refusal(&candidate);
        candidate.trials[0].id = "other/wal/4MiB/10/1".into();
        insta::assert_snapshot!([writers, refusal(&candidate)].join("\n"), @r"
        the trials of 'external:a/wal/4MiB/10' cannot be compared: workload.writers was 2 and is 8; make both runs with the same scenario, size, rate and seed
        example-20260301-120000 and example-20260301-120000 have no trial in common: compare two runs of one scenario with the same sizes and rates
        ");
    }

    #[test]
    fn pairs_within_a_run_are_those_that_its_scenario_names() {
        let trials = vec![trial("a", 1), trial("b", 1), trial("b", 2), trial("a", 2), trial("c", 1)];
        let mut results = example::results(trials);
        assert!(of_pairs(&results).is_empty());
        results.run.conditions.insert("pairs".into(), json!([{ "a": "a", "b": "external:b" }]));
        let contests = of_pairs(&results);
        assert_eq!(contests.len(), 1);
        assert_eq!(contests[0].subject, "a → external:b/wal/4MiB/10");
        assert_eq!(contests[0].pairs().count(), 2);
    }
}
