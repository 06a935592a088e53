//! Merges the shards of one run.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machine;
use crate::record::{Machine, Results, Run, Shard, Trial};

/// Why results are not the shards of one run, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotOneRun(String);

/// The result of merging shards.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The run: its trials in the order of the plan.
    pub results: Results,
    /// Numbers of the shards that are missing.
    pub missing: Vec<u32>,
}

/// The condition that may differ between machines although the source code is the same.
const BUILD: &str = "build of the harness";

/// Merges shards. Each comes with the name that messages use for it.
///
/// # Errors
/// When they are not shards of one plan made under the same conditions, when a shard is given twice, and when they
/// ran on different machines, unless that is allowed.
pub fn merge(shards: Vec<(String, Results)>, different_machines_allowed: bool) -> Result<Merged, NotOneRun> {
    let mut shards = shards.into_iter();
    let (first_name, first) =
        shards.next().ok_or_else(|| NotOneRun("nothing to merge: give one or more shards".into()))?;
    let plan = shard_of(&first_name, &first)?.clone();
    let mut there: BTreeMap<u32, String> = BTreeMap::from([(plan.number, first_name.clone())]);
    let mut all = vec![first];
    for (name, results) in shards {
        let shard = shard_of(&name, &results)?;
        if let Some(twice) = there.insert(shard.number, name.clone()) {
            let number = shard.number;
            return Err(NotOneRun(format!(
                "{twice} and {name} are both shard {number}: give each shard once"
            )));
        }
        same_run(&first_name, &all[0], &name, &results)?;
        let machines = machine::differences(&all[0].run.host, &results.run.host);
        if !machines.is_empty() && !different_machines_allowed {
            return Err(NotOneRun(format!(
                "{first_name} and {name} ran on different machines: {}; their absolute times cannot be compared. Run \
                 all shards on machines of one kind, or merge with --allow-different-machines",
                machines.join("; ")
            )));
        }
        all.push(results);
    }
    let missing = (1..=plan.of).filter(|number| !there.contains_key(number)).collect();
    Ok(Merged { results: joined(all, &plan), missing })
}

fn shard_of<'a>(name: &str, results: &'a Results) -> Result<&'a Shard, NotOneRun> {
    let shard = results.run.shard.as_ref();
    shard.ok_or_else(|| NotOneRun(format!("{name} is not a shard: create shards with 'run --shard K/N'")))
}

fn same_run(first_name: &str, first: &Results, name: &str, other: &Results) -> Result<(), NotOneRun> {
    let (then, now) = (&first.run, &other.run);
    let texts = [
        ("scenario", &then.scenario, &now.scenario),
        ("version of the harness", &then.harness_version, &now.harness_version),
    ];
    let texts = texts.into_iter().filter(|(_, then, now)| then != now);
    let mut differences: Vec<String> =
        texts.map(|(what, then, now)| format!("{what} was '{then}' and is '{now}'")).collect();
    if then.seed != now.seed {
        differences.push(format!("seed was {} and is {}", then.seed, now.seed));
    }
    let (one, two) = (then.shard.as_ref(), now.shard.as_ref());
    if one.map(|shard| (shard.of, &shard.plan)) != two.map(|shard| (shard.of, &shard.plan)) {
        differences.push("they are shards of different plans".into());
    }
    // Conditions found on the machine are recorded for the trials of that shard only, so the other shard may lack
    // them.
    let conditions = then.conditions.iter().filter_map(|(name, then)| {
        let now = now.conditions.get(name)?;
        (then != now && name != BUILD).then(|| format!("{name} was {then} and is {now}"))
    });
    differences.extend(conditions);
    if differences.is_empty() {
        return Ok(());
    }
    Err(NotOneRun(format!(
        "{first_name} and {name} are not shards of one run: {}; run all shards with the same scenario, flags and \
         version",
        differences.join("; ")
    )))
}

/// One run of all trials, in the order of the plan.
fn joined(all: Vec<Results>, plan: &Shard) -> Results {
    let hosts: Vec<_> = all.iter().map(|results| results.run.host.clone()).collect();
    let differ = hosts.iter().any(|host| !machine::differences(&hosts[0], host).is_empty());
    let machine = |results: &Results| Machine {
        host: results.run.host.clone(),
        trials: results.trials.iter().map(|trial| trial.id.clone()).collect(),
    };
    let machines = if differ { all.iter().map(machine).collect() } else { Vec::new() };
    let calibration = all.iter().flat_map(|results| results.run.calibration.clone()).collect();
    let conditions: BTreeMap<String, Value> =
        all.iter().rev().flat_map(|results| results.run.conditions.clone()).collect();
    let (schema, run) = (all[0].schema.clone(), all[0].run.clone());
    let flag = format!(" --shard {}/{}", plan.number, plan.of);
    let started_at = all.iter().map(|results| results.run.started_at).min().unwrap_or(run.started_at);
    let run = Run {
        command: run.command.replace(&flag, ""),
        planned_trials: plan.plan.len() as u32,
        started_at,
        calibration,
        conditions,
        shard: None,
        machines,
        ..run
    };
    let mut trials: Vec<_> = all.into_iter().flat_map(elsewhere).collect();
    trials.sort_by_key(|trial| plan.plan.iter().position(|id| *id == trial.id));
    Results { schema, run, trials }
}

/// The trials of a shard. Their evidence stays in the results directory of the shard.
fn elsewhere(results: Results) -> impl Iterator<Item = Trial> {
    let number = results.run.shard.map_or(0, |shard| shard.number);
    results.trials.into_iter().map(move |mut trial| {
        if let Some(kept) = trial.kept.as_mut().filter(|kept| kept.path.is_some()) {
            let path = kept.path.take().unwrap_or_default();
            kept.left_out.push(format!("evidence: it is in the results of shard {number}, at {path}"));
        }
        trial
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::example;
    use crate::record::{Kept, Verdict};

    /// A complete run with this number of trials.
    fn whole(trials: usize) -> Results {
        let trial = |at: usize| {
            let mut trial = example::trial("one-step", Verdict::Restorable);
            trial.id = format!("t{at}");
            trial
        };
        example::results((0..trials).map(trial).collect())
    }

    /// Its shards: `places[i]` is the number of the shard that the i-th trial goes to.
    fn shards(run: &Results, places: &[u32], of: u32) -> Vec<(String, Results)> {
        let plan: Vec<String> = run.trials.iter().map(|trial| trial.id.clone()).collect();
        let shard = |number: u32| {
            let mut shard = run.clone();
            let mut at = places.iter();
            shard.trials.retain(|_| at.next() == Some(&number));
            shard.run.planned_trials = shard.trials.len() as u32;
            shard.run.command += &format!(" --shard {number}/{of}");
            shard.run.calibration.truncate(usize::from(number == 1));
            shard.run.shard = Some(Shard { number, of, plan: plan.clone() });
            (format!("shard-{number}"), shard)
        };
        (1..=of).map(shard).collect()
    }

    fn refusal(shards: Vec<(String, Results)>) -> String {
        merge(shards, false).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_shard_makes_the_merged_run_incomplete() {
        let run = whole(4);
        let mut shards = shards(&run, &[1, 2, 1, 3], 3);
        shards.remove(1);
        let merged = merge(shards, false).unwrap();
        assert_eq!(merged.missing, [2]);
        assert!(crate::compare::is_cut_short(&merged.results));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let run = whole(2);
        let changed = |change: fn(&mut Results)| {
            let mut shards = shards(&run, &[1, 2], 2);
            change(&mut shards[1].1);
            refusal(shards)
        };
        let mut twice = shards(&run, &[1, 2], 2);
        twice[1] = ("again".into(), twice[0].1.clone());
        let messages = [
            changed(|shard| shard.run.seed = 8),
            changed(|shard| shard.run.scenario = "other".into()),
            changed(|shard| shard.run.shard.as_mut().unwrap().of = 3),
            changed(|shard| shard.run.shard = None),
            changed(|shard| shard.run.host.cpus = 64),
            refusal(twice),
            refusal(Vec::new()),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn other_conditions_are_refused_and_another_build_of_the_same_version_is_not() {
        let mut run = whole(2);
        run.run.conditions =
            [("seed", 1), (BUILD, 1)].map(|(name, value)| (name.into(), value.into())).into();
        let mut two = shards(&run, &[1, 2], 2);
        two[1].1.run.conditions.insert(BUILD.into(), 2.into());
        assert!(merge(two.clone(), false).is_ok());
        two[1].1.run.conditions.insert("seed".into(), 2.into());
        assert!(refusal(two).contains("seed was 1 and is 2"));
    }

    #[test]
    fn different_machines_are_named_in_the_run_where_they_are_allowed() {
        let run = whole(3);
        let mut two = shards(&run, &[1, 2, 1], 2);
        two[1].1.run.host.cpu = "Another CPU".into();
        two[1].1.trials[0].kept = Some(Kept { path: Some("kept/t1".into()), bytes: 1, left_out: Vec::new() });
        let merged = merge(two, true).unwrap().results;
        let machines: Vec<(&str, &[String])> = merged
            .run
            .machines
            .iter()
            .map(|machine| (machine.host.cpu.as_str(), &machine.trials[..]))
            .collect();
        let (first, second) = (["t0".to_owned(), "t2".to_owned()], ["t1".to_owned()]);
        assert_eq!(machines, [("Example CPU", &first[..]), ("Another CPU", &second[..])]);
        let kept = merged.trials[1].kept.as_ref().unwrap();
        assert_eq!((kept.path.as_ref(), kept.left_out.len()), (None, 1));
    }

    proptest! {
        #[test]
        fn the_shards_of_a_run_give_that_run_in_any_order(
            places in prop::collection::vec(1..5u32, 1..12), turn in 0..4usize
        ) {
            let run = whole(places.len());
            let mut shards = shards(&run, &places, 4);
            shards.rotate_left(turn);
            let merged = merge(shards, false).unwrap();
            prop_assert_eq!(merged.results, run);
            prop_assert!(merged.missing.is_empty());
        }
    }
}
