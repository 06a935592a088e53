//! `prove power-cut`: what backup commands leave when the power fails.

use bytesize::ByteSize;
use clap::Args;
use harness::crash_states::strategy::require_examinable;
use harness::crash_states::{Examination, Examined, Tally};
use machine::error::Result;
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::printable;
use reports::render::table::Table;
use serde::Deserialize;
use strategies::contract::StrategyEntry;
use strategies::registry;

use super::measure::Output;
use crate::arguments::version::version;
use crate::exit;

/// The commands that are examined when none is given.
const COMMANDS: &str = include_str!("power_cut.toml");

#[derive(Args)]
pub struct ProvePowerCut {
    /// A command that backs up $DRILL_SOURCE to $DRILL_DESTINATION/copy.db (repeatable) [default: common commands]
    #[arg(long, value_name = "COMMAND")]
    backup: Vec<String>,
    /// A strategy with its defaults instead of a command (repeatable)
    #[arg(long, value_name = "NAME", value_parser = strategy)]
    strategy: Vec<&'static StrategyEntry>,
    /// Size of the database
    #[arg(long, default_value = "2MiB")]
    size: ByteSize,
    /// Number of subsets of the writes between two flushes that are tried
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    reorderings: u32,
    /// Random seed of the database and the subsets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Commands {
    commands: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    backup: String,
}

/// Examines the commands. The exit code is 1 when one of them reported success before its backup could survive a power
/// cut.
///
/// # Errors
/// When a command fails, or the machine lacks something.
pub fn prove(arguments: &ProvePowerCut, cancel: &Cancel) -> Result<u8> {
    let workspace = Workspace::open(&arguments.output.place.directory())?;
    workspace.sweep()?;
    let work = workspace.work_directory("power-cut")?;
    let launcher = Launcher::new(work.path(), cancel);
    let (size, seed) = (arguments.size.0, arguments.seed);
    let examination = Examination::new(&launcher, size, seed, arguments.reorderings as usize)?;
    let mut found = Vec::new();
    for strategy in &arguments.strategy {
        let name = strategy.card().name;
        eprintln!("examining: {name}");
        found.push((name.to_owned(), examination.examine_strategy(&strategy.with_defaults())?));
    }
    for command in commands(arguments) {
        eprintln!("examining: {}", printable(&command.name));
        found.push((command.name, examination.examine(&command.backup)?));
    }
    arguments.output.publish(&text(&found, arguments))?;
    let is_damaged = found.iter().any(|(_, examined)| examined.after.damaged > 0);
    Ok(if is_damaged { exit::FELL_SHORT } else { exit::SUCCESS })
}

/// A strategy that can be examined.
fn strategy(name: &str) -> std::result::Result<&'static StrategyEntry, String> {
    let strategy = registry::named(name).map_err(|error| error.to_string())?;
    require_examinable(&strategy.with_defaults()).map(|()| strategy).map_err(|error| error.to_string())
}

fn commands(arguments: &ProvePowerCut) -> Vec<Named> {
    if arguments.backup.is_empty() && arguments.strategy.is_empty() {
        return toml::from_str::<Commands>(COMMANDS).expect("a test reads it").commands;
    }
    let named = |backup: &String| Named { name: backup.clone(), backup: backup.clone() };
    arguments.backup.iter().map(named).collect()
}

fn text(found: &[(String, Examined)], arguments: &ProvePowerCut) -> String {
    let cells = |tally: &Tally| [tally.right.to_string(), tally.damaged.to_string()];
    let row = |(name, examined): &(String, Examined)| {
        let counts = [cells(&examined.before), cells(&examined.after)].concat();
        std::iter::once(name.clone()).chain(counts).collect()
    };
    let header = ["Backup by", "Before: right", "Before: damaged", "After: right", "After: damaged"];
    let table = Table::of_texts(header, found.iter().map(row).collect());
    let examples: String = found
        .iter()
        .filter_map(|(name, examined)| Some((name, examined.after.example.as_ref()?)))
        .map(|(name, example)| format!("- {}: {}\n", printable(name), printable(example)))
        .collect();
    let examples = if examples.is_empty() {
        String::new()
    } else {
        format!("\nThe first damage after success:\n\n{examples}")
    };
    format!(
        "# Backups after a power cut\n\nStates of the destination's disk (ext4) that a power cut could leave, before and \
         after the command reported success. Before, a damaged backup is fair; after, it never is. Database of {}, up to \
         {} subsets of the writes between two flushes, seed {}, version {}.\n\n{}\n{examples}",
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
    fn the_common_commands_are_read_and_have_different_names() {
        let commands = toml::from_str::<Commands>(COMMANDS).unwrap().commands;
        assert!(commands.len() >= 5);
        let mut names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), commands.len());
        assert!(commands.iter().all(|command| command.backup.contains("$DRILL_DESTINATION/copy.db")));
    }
}
