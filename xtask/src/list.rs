//! `list`: the available strategies, faults, stages, scenarios and dataset profiles.

use harness::fault;
use harness::scenario::Scenario;
use machine::error::{Error, Result};
use model::dataset::PROFILES;
use offsite::settings::SettingDoc;
use offsite::{destination, transform};
use reports::render::table::{Cell, Column, Rank, Table};
use serde_json::{Value, json};
use strategies::contract::StrategyEntry;
use strategies::registry;

use crate::arguments::Listed;
use crate::exit;
use crate::format::Format;

/// Prints strategies, faults, stages, scenarios and profiles, or one of these lists.
///
/// # Errors
/// When a shipped scenario cannot be read; [`Error::Input`] when the format cannot hold several tables.
pub fn show(what: Option<Listed>, format: Format) -> Result<u8> {
    let shown = what.map_or(
        vec![Listed::Strategies, Listed::Faults, Listed::Stages, Listed::Scenarios, Listed::Profiles],
        |one| vec![one],
    );
    match (format, shown.as_slice()) {
        (Format::Csv, [_, _, ..]) => {
            return Err(Error::Input(
                "CSV can hold only one table: list strategies, faults, stages, scenarios or profiles"
                    .to_owned(),
            ));
        }
        (Format::Json, [_, _, ..]) => {
            let all = json!({
                "strategies": strategies().json(),
                "faults": faults().json(),
                "stages": stages().json(),
                "scenarios": scenarios()?.json(),
                "profiles": profiles().json(),
            });
            println!("{}", serde_json::to_string_pretty(&all).expect("tables are valid JSON"));
        }
        (Format::Json | Format::Csv, _) => println!("{}", format.of(&table(shown[0])?)),
        (Format::Table | Format::Markdown, _) => {
            for one in shown {
                println!("{}\n", format.of(&table(one)?));
                if one == Listed::Strategies {
                    println!("{}\n", format.of(&settings()));
                }
            }
        }
    }
    Ok(exit::SUCCESS)
}

fn table(what: Listed) -> Result<Table> {
    match what {
        Listed::Strategies => Ok(strategies()),
        Listed::Faults => Ok(faults()),
        Listed::Stages => Ok(stages()),
        Listed::Scenarios => scenarios(),
        Listed::Profiles => Ok(profiles()),
    }
}

fn strategies() -> Table {
    let mut table = Table::new(vec![
        Column::text("Strategy", "name", Rank::Always),
        Column::text("Kind", "kind", Rank::Main(0)),
        Column::text("Engines", "engines", Rank::Main(1)),
        Column::text("How it works", "summary", Rank::Always),
        Column::text("Promise", "promise", Rank::Main(2)),
    ]);
    // JSON and CSV have the settings with their strategy; people get a separate table.
    let has_settings = Column::text("Settings", "settings", Rank::Detail(0));
    table.columns.push(has_settings);
    for strategy in registry::all() {
        let card = strategy.card();
        let rows = strategy_settings(strategy);
        let object = |(name, default, meaning): &(&str, Value, &str)| json!({ "name": name, "default": default, "meaning": meaning });
        table.push(vec![
            card.name.into(),
            card.family.name().into(),
            Cell { text: card.engines().join(", "), value: json!(card.engines()) },
            card.summary.into(),
            strategy.with_defaults().promise().text.into(),
            Cell {
                text: rows.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", "),
                value: rows.iter().map(object).collect(),
            },
        ]);
    }
    table
}

/// The settings of all strategies, with their defaults.
fn settings() -> Table {
    let mut table = Table::new(vec![
        Column::text("Setting", "setting", Rank::Always),
        Column::text("Default", "default", Rank::Always),
        Column::text("Meaning", "meaning", Rank::Always),
    ]);
    for strategy in registry::all() {
        let rows = strategy_settings(strategy);
        if !rows.is_empty() {
            table.begin_section(strategy.card().name);
        }
        for (name, default, meaning) in rows {
            table.push(vec![name.into(), default.to_string().into(), meaning.into()]);
        }
    }
    table
}

/// Name, default and meaning of each setting of a strategy.
fn strategy_settings(strategy: &'static StrategyEntry) -> Vec<(&'static str, Value, &'static str)> {
    let defaults = strategy.with_defaults();
    let settings = strategy.card().settings.iter();
    settings.map(|(name, meaning)| (*name, defaults.settings()[*name].clone(), *meaning)).collect()
}

fn faults() -> Table {
    let mut table = Table::new(vec![
        Column::text("Fault", "name", Rank::Always),
        Column::text("Strikes in", "phase", Rank::Main(0)),
        Column::text("What happens", "summary", Rank::Always),
        Column::text("Settings", "settings", Rank::Main(1)),
    ]);
    for entry in fault::registry::all() {
        let fault = entry.with_defaults();
        let setting = |(name, meaning): &(&str, &str)| json!({ "name": name, "default": fault.settings()[*name], "meaning": meaning });
        let text =
            |(name, meaning): &(&str, &str)| format!("{name} = {}: {meaning}", fault.settings()[*name]);
        table.push(vec![
            entry.name.into(),
            fault.moment().phase().into(),
            entry.summary.into(),
            Cell {
                text: entry.settings.iter().map(text).collect::<Vec<_>>().join("; "),
                value: entry.settings.iter().map(setting).collect(),
            },
        ]);
    }
    table
}

/// The transforms and the destinations of artifacts that leave the machine.
fn stages() -> Table {
    let mut table = Table::new(vec![
        Column::text("Stage", "name", Rank::Always),
        Column::text("Kind", "kind", Rank::Main(0)),
        Column::text("What it does", "summary", Rank::Always),
        Column::text("Settings", "settings", Rank::Main(1)),
    ]);
    let transforms = transform::registry::all().iter();
    let transforms = transforms.map(|entry| (entry.name, "transform", entry.summary, entry.settings));
    let destinations = destination::registry::all().iter();
    let destinations = destinations.map(|entry| (entry.name, "destination", entry.summary, entry.settings));
    for (name, kind, summary, settings) in transforms.chain(destinations) {
        let object = |doc: &SettingDoc| json!({ "name": doc.name, "type": doc.kind, "default": doc.default, "meaning": doc.meaning });
        let text = |doc: &SettingDoc| {
            format!("{} ({}, default: {}): {}", doc.name, doc.kind, doc.default, doc.meaning)
        };
        table.push(vec![
            name.into(),
            kind.into(),
            summary.into(),
            Cell {
                text: settings.iter().map(text).collect::<Vec<_>>().join("; "),
                value: settings.iter().map(object).collect(),
            },
        ]);
    }
    table
}

fn scenarios() -> Result<Table> {
    let mut table = Table::new(vec![
        Column::text("Scenario", "name", Rank::Always),
        Column::text("Description", "description", Rank::Always),
    ]);
    for scenario in Scenario::shipped()? {
        table.push(vec![scenario.name.into(), scenario.description.trim().into()]);
    }
    Ok(table)
}

fn profiles() -> Table {
    let mut table = Table::new(vec![
        Column::text("Dataset profile", "name", Rank::Always),
        Column::text("Description", "description", Rank::Always),
    ]);
    for profile in PROFILES {
        table.push(vec![profile.name.into(), profile.description.into()]);
    }
    table
}
