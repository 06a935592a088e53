//! The grammar of `check`, `init` and `publish`.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{ArgGroup, Args};
use engines::engine::Engine;
use engines::registry;
use harness::plan::size_label;
use machine::{quantity, this_program};
use model::schedule::Rate;

use super::place::Place;
use super::quoting::quoted;

const CHECK_HELP: &str = "\
The commands run in the current directory, with these environment variables:
  DRILL_SOURCE        the live database file (backup)
  DRILL_DESTINATION   an empty directory for the backup (backup)
  DRILL_ARTIFACT      the same directory (restore)
  DRILL_TARGET        the path where the restore must write the database file (restore)
  DRILL_MYSQL_DEFAULTS_FILE and others: see docs/external-commands.md

Exit codes: 0 every restored database is correct, 1 at least one is not, 3 inconclusive.";

/// The backup to check: commands, or a file.
#[derive(Args)]
#[command(after_help = CHECK_HELP)]
#[command(group(ArgGroup::new("what is checked").required(true).args(["backup", "backup_file"])))]
pub struct Check {
    /// Command that backs up DRILL_SOURCE into DRILL_DESTINATION (or give --backup-file)
    #[arg(long, value_name = "COMMAND", requires = "restore")]
    pub backup: Option<String>,
    /// Command that restores DRILL_ARTIFACT to DRILL_TARGET
    #[arg(long, value_name = "COMMAND", requires = "backup")]
    pub restore: Option<String>,
    /// Inspect this SQLite backup file instead of running commands (without a ledger of writes, not everything can be
    /// checked)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["backup", "restore", "engine", "size", "rate", "repetitions"])]
    pub backup_file: Option<PathBuf>,
    /// Run the commands on a copy of this SQLite file, or compare the backup file with it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["size", "engine"])]
    pub database: Option<PathBuf>,
    /// Engine of the generated database (all except sqlite need Docker) [default: sqlite]
    #[arg(long, value_parser = registry::named)]
    pub engine: Option<&'static dyn Engine>,
    /// Size of the generated database [default: 64MiB]
    #[arg(long, value_parser = quantity::size)]
    pub size: Option<ByteSize>,
    /// Writes per second, or 'closed' (each writer sends its next write when the last was answered) [default: 100]
    #[arg(long)]
    pub rate: Option<Rate>,
    /// Number of trials [default: 5]
    #[arg(long)]
    pub repetitions: Option<u32>,
    #[command(flatten)]
    pub place: Place,
}

impl Check {
    /// The command line that repeats this check.
    pub fn command_line(&self) -> String {
        let file = |file: &PathBuf| quoted(&file.to_string_lossy());
        let flags = [
            ("--backup", self.backup.as_deref().map(quoted)),
            ("--restore", self.restore.as_deref().map(quoted)),
            ("--database", self.database.as_ref().map(file)),
            ("--engine", self.engine.map(|engine| engine.name().to_owned())),
            ("--size", self.size.map(size_label)),
            ("--rate", self.rate.map(|rate| rate.to_string().trim_end_matches("/s").to_owned())),
            ("--repetitions", self.repetitions.map(|count| count.to_string())),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", value?)));
        format!("{} check{}", this_program::name(), given.collect::<String>())
    }
}

/// The scenario to write.
#[derive(Args)]
pub struct Init {
    /// The file to write
    #[arg(default_value = "backup-drill.toml")]
    pub file: PathBuf,
    /// Use a copy of this SQLite file instead of generated databases
    #[arg(long, value_name = "FILE", conflicts_with = "engine")]
    pub database: Option<PathBuf>,
    /// Your backup command
    #[arg(long, value_name = "COMMAND", requires = "restore")]
    pub backup: Option<String>,
    /// Your restore command
    #[arg(long, value_name = "COMMAND", requires = "backup")]
    pub restore: Option<String>,
    /// Engine of the generated databases [default: sqlite]
    #[arg(long, value_parser = registry::named)]
    pub engine: Option<&'static dyn Engine>,
}

/// The run to publish.
#[derive(Args)]
pub struct Publish {
    /// A results.json or its directory
    pub run: PathBuf,
    /// Name of the directory [default: the name of the scenario]
    #[arg(long)]
    pub name: Option<String>,
    /// Directory of all published runs [default: reports/published]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Replace the run of this name
    #[arg(long)]
    pub replace: bool,
}
