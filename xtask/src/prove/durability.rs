//! `prove durability`: which acknowledged writes a power cut takes from the database itself.

use bytesize::ByteSize;
use clap::Args;
use engines::engine::Engine;
use engines::registry;
use engines::subject_section::SubjectSection;
use harness::crash_states::source::{ExaminedSource, Extent, SourceExamination};
use machine::error::Result;
use machine::event::Event;
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::printable;
use reports::render::table::Table;
use serde::Deserialize;

use super::measure::Output;
use crate::arguments::version::version;
use crate::exit;
use crate::show::Progress;

/// The settings that are examined.
const SETTINGS: &str = include_str!("durability.toml");

#[derive(Args)]
pub struct ProveDurability {
    /// The engine, SQLite by default
    #[arg(long, value_name = "NAME", value_parser = registry::named)]
    engine: Option<&'static dyn Engine>,
    /// Size of the database
    #[arg(long, default_value = "1MiB")]
    size: ByteSize,
    /// Number of writes that are made with each set of settings
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    writes: u64,
    /// Number of subsets of what was written between two flushes that are tried
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    reorderings: u32,
    /// Random seed of the database, the writes and the subsets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllSettings {
    settings: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    /// As in a scenario.
    subject: SubjectSection,
}

/// Examines all settings.
///
/// # Errors
/// When the machine lacks something.
pub fn prove(arguments: &ProveDurability, cancel: &Cancel) -> Result<u8> {
    let workspace = Workspace::open(&arguments.output.place.directory())?;
    workspace.sweep()?;
    let work = workspace.work_directory("durability")?;
    let launcher = Launcher::new(work.path(), cancel);
    let engine = arguments.engine.unwrap_or(registry::DEFAULT);
    let extent = Extent {
        bytes: arguments.size.0,
        seed: arguments.seed,
        writes: arguments.writes,
        reorderings: arguments.reorderings as usize,
    };
    let progress = Progress::new();
    let observer = |event: Event<'_>| progress.show(event);
    let examination = SourceExamination::new(&launcher, engine, &workspace.cache(), extent, &observer)?;
    progress.finish();
    let mut found = Vec::new();
    for settings in all_of(engine) {
        eprintln!("examining: {}", settings.name);
        found.push((settings.name, examination.examine(&settings.subject)?));
    }
    arguments.output.publish(&text(engine, &found, arguments))?;
    Ok(exit::SUCCESS)
}

fn all_of(engine: &'static dyn Engine) -> Vec<Named> {
    let mut all = toml::from_str::<AllSettings>(SETTINGS).expect("a test reads it").settings;
    all.retain(|settings| settings.subject.engines.contains(&engine));
    all
}

fn text(engine: &dyn Engine, found: &[(String, ExaminedSource)], arguments: &ProveDurability) -> String {
    let row = |(name, examined): &(String, ExaminedSource)| {
        let ExaminedSource { right, lost, lost_writes_max, damaged, .. } = examined;
        vec![
            name.clone(),
            (right + lost + damaged).to_string(),
            right.to_string(),
            lost.to_string(),
            lost_writes_max.to_string(),
            damaged.to_string(),
        ]
    };
    let header = ["Settings", "States", "Nothing lost", "Writes lost", "Most lost at once", "Damaged"];
    let table = Table::of_texts(header, found.iter().map(row).collect());
    let examples: String = found
        .iter()
        .filter_map(|(name, examined)| Some((name, examined.example.as_ref()?)))
        .map(|(name, example)| format!("- {name}: {}\n", printable(example)))
        .collect();
    let examples =
        if examples.is_empty() { String::new() } else { format!("\nThe first damage:\n\n{examples}") };
    format!(
        "# The database itself after a power cut\n\n{} writes were made one after the other to a database of {} of {} on ext4. \
         Each state in which a power cut could leave its disk was recovered, and verified against the writes that had been \
         acknowledged by then: with up to {} subsets of what was written between two flushes, seed {}, version {}.\n\n{}\n{examples}",
        arguments.writes,
        engine.title(),
        arguments.size,
        arguments.reorderings,
        arguments.seed,
        version(),
        table.markdown()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_engine_has_settings_with_different_names() {
        for engine in registry::ENGINES {
            let settings = all_of(*engine);
            assert!(settings.len() >= 4, "{}", engine.name());
            let names: BTreeSet<&str> = settings.iter().map(|settings| settings.name.as_str()).collect();
            assert_eq!(names.len(), settings.len());
        }
    }
}
