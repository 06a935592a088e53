//! Selects trials of a plan.

use machine::error::{Error, Result};

use super::trial_plan::TrialPlan;
use crate::fault::ConfiguredFault;
use crate::scenario::{Filter, Overrides, Value};
use crate::stages;

fn matches(filter: &Filter, trial: &TrialPlan) -> bool {
    filter.conditions.iter().all(|condition| has(trial, &condition.value) != condition.is_negated)
}

fn has(trial: &TrialPlan, value: &Value) -> bool {
    let deployment = &trial.deployment;
    match value {
        Value::Strategy(name) => trial.strategy.name() == *name,
        Value::Engine(engine) => deployment.engine == *engine,
        Value::App(app) => deployment.app == *app,
        Value::Mode(mode) => deployment.mode == Some(*mode),
        Value::FileSystem(kind) => deployment.file_system == *kind,
        Value::Size(size) => trial.dataset.target_bytes == size.0,
        Value::Rate(rate) => trial.load.rate == *rate,
        Value::Fault(name) => trial.fault.as_ref().map(ConfiguredFault::name) == *name,
        Value::Stages(label) => trial.stages.as_ref().map_or(stages::NONE, |stages| &stages.label) == label,
        Value::Repetition(number) => trial.repetition == *number,
    }
}

/// Keeps the trials that `--only`, `--filter` and `--exclude` select.
///
/// # Errors
/// [`Error::Input`] when they select none.
pub(super) fn keep(trials: &mut Vec<TrialPlan>, overrides: &Overrides) -> Result<()> {
    let Overrides { only, filter, exclude, .. } = overrides;
    let all = trials.len();
    trials.retain(|trial| {
        (only.is_empty() || only.iter().any(|part| trial.id.contains(part.as_str())))
            && (filter.is_empty() || filter.iter().any(|filter| matches(filter, trial)))
            && !exclude.iter().any(|filter| matches(filter, trial))
    });
    if !trials.is_empty() {
        return Ok(());
    }
    let words = |flag: &'static str, filters: &[Filter]| {
        filters.iter().map(|filter| format!("{flag} {filter}")).collect::<Vec<_>>()
    };
    let mut given: Vec<String> = only.iter().map(|part| format!("--only {part}")).collect();
    given.extend(words("--filter", filter));
    given.extend(words("--exclude", exclude));
    Err(Error::Input(format!("{} selects none of its {all} trials; 'plan' lists their ids", given.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::scenario::Scenario;

    const TEXT: &str = r#"
        description = "filtered"
        repetitions = 2
        [subject]
        engines = ["sqlite", "mysql"]
        journal_modes = ["wal", "delete"]
        [dataset]
        sizes = ["1MiB", "1GiB"]
        [workload]
        rates = [10, "closed"]
        [[variants]]
        strategy = "cold-copy"
        [[variants]]
        strategy = "sqlite-dump"
    "#;

    fn kept(filter: &[&str], exclude: &[&str]) -> Result<Vec<String>> {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let overrides = Overrides { filter: parse(filter), exclude: parse(exclude), ..Overrides::default() };
        let plan = Plan::new(Scenario::parse("filtered", TEXT).unwrap(), &overrides)?;
        Ok(plan.trials.into_iter().map(|trial| trial.id).collect())
    }

    #[test]
    fn conditions_of_a_filter_all_hold_and_of_several_filters_one_does() {
        let all = kept(&[], &[]).unwrap();
        assert_eq!(kept(&["size=1024KiB"], &["size!=1MiB"]).unwrap().len(), all.len() / 2);
        let one = "strategy=cold-copy,engine=sqlite,mode=wal,size=1MiB,rate=closed,repetition=2,app=embedded";
        assert_eq!(kept(&[one], &[]).unwrap(), ["cold-copy/wal/1MiB/closed/2"]);
        let two =
            kept(&[one, "strategy=sqlite-dump,mode=delete,size=1GiB,rate=10,repetition=1"], &[]).unwrap();
        assert_eq!(two, ["sqlite-dump/delete/1GiB/10/1", "cold-copy/wal/1MiB/closed/2"]);
        let without = kept(&["strategy=cold-copy", "strategy=sqlite-dump"], &["engine=sqlite"]).unwrap();
        assert!(!without.is_empty() && without.iter().all(|id| id.starts_with("cold-copy/mysql/")));
    }

    #[test]
    fn invalid_filters_are_refused() {
        let refused = |text: &str| text.parse::<Filter>().unwrap_err();
        let messages = [
            refused("cold-copy"),
            refused("sise=1GiB"),
            refused("size=big"),
            // The names of all engines follow.
            refused("engine=mysqi").split(": expected").next().unwrap().to_owned(),
            refused("repetition=first"),
            kept(&["file_system=xfs,rate=10"], &["mode=wal"]).unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        'cold-copy' is not a condition: give NAME=VALUE or NAME!=VALUE, such as strategy=cold-copy,size=1GiB
        unknown property of a trial 'sise' (did you mean 'size'?): expected one of app, engine, fault, file_system, mode, rate, repetition, size, stages, strategy
        'big' is not a size: give a number and a unit, such as 64MiB, 1.5GiB or 500MB
        unknown engine 'mysqi' (did you mean 'mysql'?)
        'first' is not a repetition: give a whole number from 1
        scenario 'filtered': --filter file_system=xfs,rate=10 --exclude mode=wal selects none of its 40 trials; 'plan' lists their ids
        ");
    }
}
