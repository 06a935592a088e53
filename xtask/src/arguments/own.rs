//! The grammar of `check`, `init` and `publish`.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use engines::kinds::Engine;
use harness::plan::size_label;
use machine::{program, quantity};
use model::schedule::Rate;

use super::{Place, quoted};

const CHECK_HELP: &str = "\
The commands run in the current directory. They find what they need in their environment:
  DRILL_SOURCE        the live database file (backup)
  DRILL_DESTINATION   an empty directory for the backup (backup)
  DRILL_ARTIFACT      the same directory (restore)
  DRILL_TARGET        where the restored database file has to be (restore)
  DRILL_MYSQL_DEFAULTS_FILE and others: see docs/external-commands.md

Exit code 0: every restore was right. 1: one was not. 3: the check proves nothing.";

/// A backup that is to be checked: commands, or a file.
#[derive(Args)]
#[command(after_help = CHECK_HELP)]
pub struct Check {
    /// Command that backs up DRILL_SOURCE into DRILL_DESTINATION (or give --backup-file)
    #[arg(long, value_name = "COMMAND", required_unless_present = "backup_file", requires = "restore")]
    pub backup: Option<String>,
    /// Command that restores DRILL_ARTIFACT to DRILL_TARGET
    #[arg(long, value_name = "COMMAND", requires = "backup")]
    pub restore: Option<String>,
    /// Instead of commands: look at this SQLite backup, as far as that can be done without a log of the writes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["backup", "restore", "engine", "size", "rate", "repetitions"])]
    pub backup_file: Option<PathBuf>,
    /// Try the commands on a copy of this SQLite file, or compare the backup file with it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["size", "engine"])]
    pub database: Option<PathBuf>,
    /// Engine of a generated database: mysql needs Docker [default: sqlite]
    #[arg(long, value_parser = engine)]
    pub engine: Option<Engine>,
    /// Size of the generated database [default: 64MiB]
    #[arg(long, value_parser = quantity::size)]
    pub size: Option<ByteSize>,
    /// Writes per second, or 'closed' [default: 100]
    #[arg(long)]
    pub rate: Option<Rate>,
    /// Number of trials [default: 5]
    #[arg(long)]
    pub repetitions: Option<u32>,
    #[command(flatten)]
    pub place: Place,
}

impl Check {
    /// The command that makes the same check.
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
        format!("{} check{}", program::name(), given.collect::<String>())
    }
}

/// The engine of this name.
pub fn engine(name: &str) -> Result<Engine, String> {
    let names = Engine::ALL.map(Engine::name);
    let known = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    known.ok_or_else(|| machine::error::unknown("engine", name, &names))
}

/// A scenario that is to be written.
#[derive(Args)]
pub struct Init {
    /// The file to write
    #[arg(default_value = "backup-drill.toml")]
    pub file: PathBuf,
    /// For a copy of this SQLite file instead of generated databases
    #[arg(long, value_name = "FILE", conflicts_with = "engine")]
    pub database: Option<PathBuf>,
    /// For this backup command of your own
    #[arg(long, value_name = "COMMAND", requires = "restore")]
    pub backup: Option<String>,
    /// For this restore command of your own
    #[arg(long, value_name = "COMMAND", requires = "backup")]
    pub restore: Option<String>,
    /// Engine of the generated databases [default: sqlite]
    #[arg(long, value_parser = engine)]
    pub engine: Option<Engine>,
}

/// A run that is to be published.
#[derive(Args)]
pub struct Publish {
    /// A results.json or its directory
    pub run: PathBuf,
    /// Name of the directory [default: the name of the scenario]
    #[arg(long)]
    pub name: Option<String>,
    /// The directory of all published runs [default: reports/published]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Replace the run of this name
    #[arg(long)]
    pub replace: bool,
}
