//! Pairs of variants that are compared with each other. Their repetitions alternate, so that a machine that becomes
//! slower or faster during the run affects both.

use std::collections::BTreeMap;

use reports::gate;

use super::trial_plan::TrialPlan;
use crate::scenario::Pair;

impl TrialPlan {
    /// True when its variant has this name in the scenario.
    fn is_variant(&self, name: &str) -> bool {
        gate::is_variant(name, &self.id, &self.variant)
    }
}

/// # Errors
/// The pair that is invalid, and why.
pub(super) fn check(trials: &[TrialPlan], pairs: &[Pair]) -> Result<(), String> {
    for (pair, number) in pairs.iter().zip(1..) {
        let place = |message: String| format!("pair {number}: {message}");
        if pair.a == pair.b {
            return Err(place(format!("'{}' is paired with itself: name two different variants", pair.a)));
        }
        for name in [&pair.a, &pair.b] {
            let is_meant = |trial: &&TrialPlan| trial.is_variant(name);
            let mut meant: Vec<&str> =
                trials.iter().filter(is_meant).filter_map(|trial| trial.id.split('/').next()).collect();
            meant.dedup();
            meant.sort_unstable();
            meant.dedup();
            match meant.as_slice() {
                [_] => {}
                [] => {
                    let known = variants(trials);
                    return Err(place(format!(
                        "no variant is called '{name}'; the variants are {}",
                        known.join(", ")
                    )));
                }
                several => {
                    return Err(place(format!(
                        "'{name}' is ambiguous: it matches {}; give each of them its own name",
                        several.join(", ")
                    )));
                }
            }
        }
    }
    let twice = trials.iter().find(|trial| pairs_of(trial, pairs).count() > 1);
    twice.map_or(Ok(()), |trial| {
        let name = trial.id.split('/').next().unwrap_or_default();
        Err(format!(
            "'{name}' is in more than one pair: list the variant once per pair, under different names"
        ))
    })
}

/// The names of the variants of a plan, each once.
fn variants(trials: &[TrialPlan]) -> Vec<&str> {
    let mut known: Vec<&str> = Vec::new();
    for name in trials.iter().filter_map(|trial| trial.id.split('/').next()) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known
}

/// The numbers of the pairs that a trial belongs to, and whether it is the second of them.
fn pairs_of<'a>(trial: &'a TrialPlan, pairs: &'a [Pair]) -> impl Iterator<Item = (usize, bool)> {
    pairs.iter().enumerate().filter_map(|(number, pair)| {
        let is_second = trial.is_variant(&pair.b);
        (is_second || trial.is_variant(&pair.a)).then_some((number, is_second))
    })
}

/// Identifies the trials that must run on the same machine: the repetitions of a trial, and those of the trial that it
/// is paired with. The value is equal for all trials of one unit.
pub(super) fn unit(trial: &TrialPlan, pairs: &[Pair]) -> String {
    match pairs_of(trial, pairs).next() {
        Some((number, _)) => format!("pair {number}/{}", gate::place_of(&trial.id, trial.repetition)),
        None => gate::subject_of(&trial.id, trial.repetition).to_owned(),
    }
}

/// The trials in the order in which they run. The trials of a pair run one after the other at the position of the first
/// of them, by repetition; A runs before B in odd repetitions and after B in even ones. All other trials keep their
/// place.
pub(super) fn interleave(trials: Vec<TrialPlan>, pairs: &[Pair]) -> Vec<TrialPlan> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut placed: Vec<((usize, u32, bool), TrialPlan)> = Vec::new();
    for (at, trial) in trials.into_iter().enumerate() {
        let key = match pairs_of(&trial, pairs).next() {
            Some((_, is_second)) => {
                let position = *first.entry(unit(&trial, pairs)).or_insert(at);
                let is_even = trial.repetition % 2 == 0;
                (position, trial.repetition, is_second != is_even)
            }
            None => (at, 0, false),
        };
        placed.push((key, trial));
    }
    placed.sort_by_key(|(key, _)| *key);
    placed.into_iter().map(|(_, trial)| trial).collect()
}

#[cfg(test)]
mod tests {
    use crate::plan::{Plan, Shard};
    use crate::scenario::{Overrides, Scenario};
    use machine::error::Error;

    const PAIRED: &str = r#"
        description = "pairs"
        repetitions = 4
        [dataset]
        sizes = ["1MiB"]
        [workload]
        rates = [10]
        [[variants]]
        strategy = "cold-copy"
        [[variants]]
        strategy = "sqlite-vacuum-into"
        [[variants]]
        name = "all at once"
        strategy = "sqlite-online-backup"
        settings = { step_pages = -1 }
        [[pairs]]
        a = "cold-copy"
        b = "all at once"
    "#;

    fn plan(text: &str) -> Result<Plan, String> {
        let scenario = Scenario::parse("pairs", text)?;
        Plan::new(scenario, &Overrides::default()).map_err(|error| match error {
            Error::Input(message) => message,
            other => panic!("{other}"),
        })
    }

    fn ids(plan: &Plan) -> String {
        plan.trials.iter().map(|trial| trial.id.as_str()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_repetitions_of_a_pair_alternate() {
        insta::assert_snapshot!(ids(&plan(PAIRED).unwrap()), @r"
        cold-copy/wal/1MiB/10/1
        sqlite-online-backup:all at once/wal/1MiB/10/1
        sqlite-online-backup:all at once/wal/1MiB/10/2
        cold-copy/wal/1MiB/10/2
        cold-copy/wal/1MiB/10/3
        sqlite-online-backup:all at once/wal/1MiB/10/3
        sqlite-online-backup:all at once/wal/1MiB/10/4
        cold-copy/wal/1MiB/10/4
        sqlite-vacuum-into/wal/1MiB/10/1
        sqlite-vacuum-into/wal/1MiB/10/2
        sqlite-vacuum-into/wal/1MiB/10/3
        sqlite-vacuum-into/wal/1MiB/10/4
        ");
    }

    #[test]
    fn invalid_pairs_are_refused() {
        let refused = |from: &str, to: &str| plan(&PAIRED.replace(from, to)).err().unwrap();
        let messages = [
            refused("b = \"all at once\"", "b = \"cold-copy\""),
            refused("b = \"all at once\"", "b = \"all at last\""),
            refused(
                "b = \"all at once\"",
                "b = \"all at once\"\n[[pairs]]\na = \"sqlite-vacuum-into\"\nb = \"cold-copy\"",
            ),
            refused(
                "strategy = \"sqlite-vacuum-into\"",
                "name = \"all at once\"\nstrategy = \"sqlite-vacuum-into\"",
            ),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r#"
        scenario 'pairs': pair 1: 'cold-copy' is paired with itself: name two different variants
        scenario 'pairs': pair 1: no variant is called 'all at last'; the variants are cold-copy, sqlite-vacuum-into, sqlite-online-backup:all at once
        scenario 'pairs': 'cold-copy' is in more than one pair: list the variant once per pair, under different names
        scenario 'pairs': pair 1: 'all at once' is ambiguous: it matches sqlite-online-backup:all at once, sqlite-vacuum-into:all at once; give each of them its own name
        "#);
    }

    #[test]
    fn thresholds_go_to_the_trials_that_promise_something_and_mistakes_name_their_place() {
        let all = PAIRED.replace(
            "[dataset]",
            "[thresholds]\nblocked_seconds = \"< 1\"\nbackup_seconds = \"< 9\"\n[dataset]",
        );
        let own = all.replace(
            "strategy = \"cold-copy\"",
            "strategy = \"cold-copy\"\nthresholds = { blocked_seconds = \"< 60\" }\n[[variants]]\nstrategy = \"hot-copy\"",
        );
        let thresholds = |plan: &Plan, strategy: &str| {
            let trial = plan.trials.iter().find(|trial| trial.strategy.name() == strategy).unwrap();
            trial.thresholds.iter().map(|(name, limit)| format!("{name} {limit}")).collect::<Vec<_>>()
        };
        let planned = plan(&own).unwrap();
        assert_eq!(thresholds(&planned, "cold-copy"), ["backup_seconds < 9", "blocked_seconds < 60"]);
        assert_eq!(thresholds(&planned, "sqlite-vacuum-into"), ["backup_seconds < 9", "blocked_seconds < 1"]);
        assert_eq!(thresholds(&planned, "hot-copy"), Vec::<String>::new());
        let messages = [
            plan(&own.replace("blocked_seconds = \"< 1\"", "blocked_secs = \"< 1\"")).err().unwrap(),
            plan(&own.replace("\"< 60\"", "\"60\"")).err().unwrap(),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r#"
        scenario 'pairs': thresholds: unknown measurement 'blocked_secs' (did you mean 'blocked_seconds'?): expected one of artifact_bytes, backup_seconds, blocked_seconds, copy_speed, downtime_seconds, longest_blocked_seconds, lost_seconds, lost_seconds_at_completion, lost_writes_at_completion, max_write_latency_ms, p99_write_latency_ms, recovery_seconds, restore_seconds
        scenario 'pairs': variant 1 (cold-copy): thresholds.blocked_seconds: '60' is not a limit: write one of <, <=, > and >= followed by a number, such as "< 60"
        "#);
    }

    #[test]
    fn shards_hold_every_trial_once_and_keep_what_is_compared_together() {
        let whole = plan(PAIRED).unwrap();
        let shard = |number, of| {
            let mut plan = plan(PAIRED).unwrap();
            plan.keep_shard(number, of).map(|()| plan).map_err(|error| error.to_string())
        };
        let (first, second) = (shard(1, 2).unwrap(), shard(2, 2).unwrap());
        assert_eq!(format!("{}\n{}", ids(&first), ids(&second)), ids(&whole));
        assert_eq!((first.trials.len(), second.trials.len()), (8, 4));
        let all: Vec<String> = ids(&whole).lines().map(str::to_owned).collect();
        assert_eq!(second.shard, Some(Shard { number: 2, of: 2, plan: all }));
        let empty = shard(3, 3).err().unwrap();
        assert_eq!(
            empty,
            "shard 3/3 of scenario 'pairs' has no trials: it can be divided into 2 shards at most"
        );
    }
}
