//! `prove durability`: which acknowledged writes a power cut takes from the database itself.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use engines::subject_section::SubjectSection;
use harness::crash_states::source::{ExaminedSource, SourceExamination};
use machine::error::Result;
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::printable;
use reports::render::table::Table;
use serde::Deserialize;

use super::measure::publish;
use crate::arguments::place::Place;
use crate::arguments::version::version;
use crate::exit;

/// The settings that are examined.
const SETTINGS: &str = include_str!("durability.toml");

#[derive(Args)]
pub struct ProveDurability {
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
    /// Also write the result to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
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
    let workspace = Workspace::open(&arguments.place.directory())?;
    workspace.sweep()?;
    let work = workspace.work_directory("durability")?;
    let launcher = Launcher::new(work.path(), cancel);
    let dataset = (arguments.size.0, arguments.seed);
    let examination =
        SourceExamination::new(&launcher, dataset, arguments.writes, arguments.reorderings as usize)?;
    let mut found = Vec::new();
    for settings in all() {
        eprintln!("examining: {}", settings.name);
        found.push((settings.name, examination.examine(&settings.subject)?));
    }
    publish(&text(&found, arguments), arguments.out.as_deref())?;
    Ok(exit::SUCCESS)
}

fn all() -> Vec<Named> {
    toml::from_str::<AllSettings>(SETTINGS).expect("a test reads it").settings
}

fn text(found: &[(String, ExaminedSource)], arguments: &ProveDurability) -> String {
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
        "# The database itself after a power cut\n\n{} writes were made one after the other to a database of {} on ext4. Each \
         state in which a power cut could leave its disk was recovered, and verified against the writes that had been \
         acknowledged by then: with up to {} subsets of what was written between two flushes, seed {}, version {}.\n\n{}\n{examples}",
        arguments.writes,
        arguments.size,
        arguments.reorderings,
        arguments.seed,
        version(),
        table.markdown()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_read_and_have_different_names() {
        let settings = all();
        assert!(settings.len() >= 6 && settings.iter().all(|settings| settings.subject.modes.len() == 1));
        let mut names: Vec<&str> = settings.iter().map(|settings| settings.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), settings.len());
    }
}
