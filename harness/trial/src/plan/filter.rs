//! Selects trials of a plan.

use std::str::FromStr;

use bytesize::ByteSize;
use engines::kinds::{App, Engine};
use engines::sqlite::client::JournalMode;
use machine::error::{Error, Result, unknown};
use machine::file_system::FileSystem;
use machine::quantity;
use model::schedule::Rate;
use strategies::registry;

use super::TrialPlan;
use crate::scenario::Overrides;

/// Conditions on a trial, all of which must hold: `strategy=cold-copy,size!=1GiB`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// As it was given.
    text: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    value: Value,
    /// True if a trial must not have the value.
    is_negated: bool,
}

/// A property of a trial.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Strategy(&'static str),
    Engine(Engine),
    App(App),
    Mode(JournalMode),
    FileSystem(FileSystem),
    Size(ByteSize),
    Rate(Rate),
    Repetition(u32),
}

const NAMES: [&str; 8] = ["app", "engine", "file_system", "mode", "rate", "repetition", "size", "strategy"];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let conditions = text.split(',').map(condition).collect::<Result<_, _>>()?;
        Ok(Filter { text: text.to_owned(), conditions })
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        format!("'{text}' is not a condition: give NAME=VALUE or NAME!=VALUE, such as strategy=cold-copy,size=1GiB")
    })?;
    let (name, is_negated) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let value = value.trim();
    let value = match name.trim() {
        "app" => {
            Value::App(one_of("app", value, [App::Embedded, App::Tracker].map(|app| (app.name(), app)))?)
        }
        "engine" => {
            Value::Engine(one_of("engine", value, Engine::ALL.map(|engine| (engine.name(), engine)))?)
        }
        "file_system" => {
            let made = FileSystem::MADE.map(|kind| (kind.name(), kind));
            let all: Vec<_> = [(FileSystem::Disk.name(), FileSystem::Disk)].into_iter().chain(made).collect();
            Value::FileSystem(one_of("file system", value, all)?)
        }
        "mode" => {
            let modes = [JournalMode::Delete, JournalMode::Wal];
            Value::Mode(one_of("journal mode", value, modes.map(|mode| (mode.name(), mode)))?)
        }
        "rate" => Value::Rate(value.parse()?),
        "repetition" => {
            let refused = |_| format!("'{value}' is not a repetition: give a whole number from 1");
            Value::Repetition(value.parse().map_err(refused)?)
        }
        "size" => Value::Size(quantity::size(value)?),
        "strategy" => {
            let all = registry::all().iter().map(|strategy| strategy.card().name);
            Value::Strategy(one_of("strategy", value, all.map(|name| (name, name)).collect::<Vec<_>>())?)
        }
        other => return Err(unknown("property of a trial", other, &NAMES)),
    };
    Ok(Condition { value, is_negated })
}

fn one_of<T>(what: &str, name: &str, all: impl IntoIterator<Item = (&'static str, T)>) -> Result<T, String> {
    let mut known = Vec::new();
    for (candidate, value) in all {
        if candidate == name {
            return Ok(value);
        }
        known.push(candidate);
    }
    Err(unknown(what, name, &known))
}

impl Filter {
    fn matches(&self, trial: &TrialPlan) -> bool {
        self.conditions.iter().all(|condition| condition.value.is_of(trial) != condition.is_negated)
    }
}

impl Value {
    fn is_of(&self, trial: &TrialPlan) -> bool {
        let deployment = &trial.deployment;
        match self {
            Value::Strategy(name) => trial.strategy.name() == *name,
            Value::Engine(engine) => deployment.engine == *engine,
            Value::App(app) => deployment.app == *app,
            Value::Mode(mode) => deployment.journal_mode == Some(*mode),
            Value::FileSystem(kind) => deployment.file_system == *kind,
            Value::Size(size) => trial.dataset.target_bytes == size.0,
            Value::Rate(rate) => trial.load.rate == *rate,
            Value::Repetition(number) => trial.repetition == *number,
        }
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
            && (filter.is_empty() || filter.iter().any(|filter| filter.matches(trial)))
            && !exclude.iter().any(|filter| filter.matches(trial))
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
            refused("engine=mysqi"),
            refused("repetition=first"),
            kept(&["file_system=xfs,rate=10"], &["mode=wal"]).unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        'cold-copy' is not a condition: give NAME=VALUE or NAME!=VALUE, such as strategy=cold-copy,size=1GiB
        unknown property of a trial 'sise' (did you mean 'size'?): expected one of app, engine, file_system, mode, rate, repetition, size, strategy
        'big' is not a size: give a number and a unit, such as 64MiB, 1.5GiB or 500MB
        unknown engine 'mysqi' (did you mean 'mysql'?): expected one of mysql, sqlite
        'first' is not a repetition: give a whole number from 1
        scenario 'filtered': --filter file_system=xfs,rate=10 --exclude mode=wal selects none of its 40 trials; 'plan' lists their ids
        ");
    }
}
