//! Conditions that select trials.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use engines::applications::App;
use engines::engine::Engine;
use engines::mode::Mode;
use machine::error::unknown;
use machine::file_system::FileSystem;
use machine::quantity;
use model::schedule::Rate;

use crate::fault;

/// Conditions on a trial, all of which must hold: `strategy=cold-copy,size!=1GiB`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// As it was given.
    text: String,
    /// What must hold.
    pub conditions: Vec<Condition>,
}

/// One condition on a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The property.
    pub value: Value,
    /// True if a trial must not have it.
    pub is_negated: bool,
}

/// A property of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Name of its strategy.
    Strategy(&'static str),
    /// Its engine.
    Engine(&'static dyn Engine),
    /// Its application.
    App(App),
    /// The mode of its engine.
    Mode(Mode),
    /// The file system of its data.
    FileSystem(FileSystem),
    /// Target size of its database.
    Size(ByteSize),
    /// Its rate.
    Rate(Rate),
    /// Its fault; `None` for a trial without one.
    Fault(Option<&'static str>),
    /// The label of its stages; `none` for a trial without any.
    Stages(String),
    /// The number of its repetition.
    Repetition(u32),
}

const NAMES: [&str; 10] =
    ["app", "engine", "fault", "file_system", "mode", "rate", "repetition", "size", "stages", "strategy"];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let conditions = text.split(',').map(condition).collect::<Result<_, _>>()?;
        Ok(Filter { text: text.to_owned(), conditions })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        "app" => Value::App(one_of("app", value, App::ALL.map(|app| (app.name(), app)))?),
        "engine" => Value::Engine(engines::registry::named(value)?),
        "fault" => {
            let all = fault::registry::all().iter().map(|fault| (fault.name, Some(fault.name)));
            Value::Fault(one_of("fault", value, [(fault::NONE, None)].into_iter().chain(all))?)
        }
        "file_system" => {
            let made = FileSystem::MADE.map(|kind| (kind.name(), kind));
            let all: Vec<_> = [(FileSystem::Disk.name(), FileSystem::Disk)].into_iter().chain(made).collect();
            Value::FileSystem(one_of("file system", value, all)?)
        }
        "mode" => Value::Mode(engines::registry::mode_named(value)?),
        "rate" => Value::Rate(value.parse()?),
        "repetition" => {
            let refused = |_| format!("'{value}' is not a repetition: give a whole number from 1");
            Value::Repetition(value.parse().map_err(refused)?)
        }
        "size" => Value::Size(quantity::size(value)?),
        "stages" => Value::Stages(value.to_owned()),
        "strategy" => {
            let all = strategies::registry::all().iter().map(|strategy| strategy.card().name);
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
