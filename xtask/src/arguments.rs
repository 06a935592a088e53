//! The command line grammar.

pub mod output;
mod own;
pub mod place;
pub mod quoting;
mod select;
pub mod version;

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use engines::images::ImageKind;
use harness::fault;
use harness::plan::size_label;
use machine::error::Error;
use machine::file_system::FileSystem;
use machine::{quantity, this_program};
use strategies::registry;

use output::Output;
pub use own::{Check, Init, Publish};
use place::Place;
use quoting::quoted;
pub use select::{DEFAULT_SCENARIO, Select};

use crate::advise::Advise;
use crate::compare::{Compare, Gate};
use crate::format::Format;
use crate::merge::ShardFlag;
use crate::prove::Prove;

/// Backup Drill: which backup strategy restores this database, how long does it take, what does it cost while
/// the application runs, and how much data is lost?
///
/// Exit codes: 0 as expected, 1 a strategy fell short or regressed, 2 bad usage or input, 3 inconclusive,
/// 4 this machine lacks something that the command needs, 70 a bug, 130 interrupted.
#[derive(Parser)]
#[command(name = "backup-drill", version)]
pub struct Arguments {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// The grammar, with the program name that the user typed. Outside a checkout it hides the commands that only work
    /// in one.
    pub fn grammar() -> clap::Command {
        let grammar = Arguments::command().bin_name(this_program::name());
        if this_program::checkout().is_some() {
            return grammar;
        }
        ["setup", "test"]
            .into_iter()
            .fold(grammar, |grammar, name| grammar.mut_subcommand(name, |command| command.hide(true)))
    }

    /// Reads the command line of this process.
    ///
    /// # Errors
    /// What is wrong with the command line, or the requested help text.
    pub fn read() -> Result<Arguments, clap::Error> {
        let matches = Arguments::grammar().try_get_matches()?;
        Arguments::from_arg_matches(&matches)
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a scenario and write results.json, report.md and report.html
    Run(Run),
    /// Check whether you can rely on a backup: run your own commands, or inspect a backup file
    Check(Check),
    /// Write a commented scenario for your database or your commands
    Init(Init),
    /// Show the trials of a run, and the disk space and time that it would need, without running it
    Plan(Plan),
    /// Show which strategies meet your objectives at a database size and write rate, based on measured runs
    Advise(Advise),
    /// List strategies with their promises and settings, scenarios, and dataset profiles
    List(List),
    /// Show what this machine can run, what is missing, and how to get it
    Doctor(Place),
    /// Get the container images: pull them, or build them from packages
    Images(Images),
    /// Generate a database file
    Generate(Generate),
    /// Find regressions: compare a run with a baseline, or the two variants of each pair in a run
    Compare(Compare),
    /// Measure the error rates of this program
    Prove(Prove),
    /// Render the report again from a results.json, print its comparison, or merge the shards of a run
    Report(Report),
    /// Check common claims about backups against recorded runs, and write claims.md
    Claims(RunsPage),
    /// Collect the defects of backup tools that recorded runs show, and write defects.md
    Defects(RunsPage),
    /// Add a run to the published runs, and update their index
    Publish(Publish),
    /// Verify kept evidence again with this version's verifier, on a copy
    Judge(Judge),
    /// Install the packages and images that the checks and tests of this repository need
    Setup(Scope),
    /// Run all checks and tests of this repository
    Test(Test),
    /// Remove what killed runs left behind
    Clean(Clean),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page of this program, or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
}

/// What the checks and tests of this repository cover.
#[derive(Args)]
pub struct Scope {
    /// Skip tests that need Docker, and list them
    #[arg(long)]
    pub without_docker: bool,
    /// Leave out this strategy, file system or fault when it cannot be tested here (repeatable)
    #[arg(long, value_name = "NAME", value_parser = exception)]
    pub except: Vec<String>,
}

impl Scope {
    pub fn excepts(&self, name: &str) -> bool {
        self.except.iter().any(|excepted| excepted == name)
    }
}

fn exception(name: &str) -> Result<String, String> {
    let strategies = registry::all().iter().map(|strategy| strategy.card().name);
    let faults = fault::registry::all().iter().map(|fault| fault.name);
    let names: Vec<&str> = strategies.chain(FileSystem::MADE.map(FileSystem::name)).chain(faults).collect();
    let known = names.contains(&name).then(|| name.to_owned());
    known.ok_or_else(|| machine::error::unknown("strategy, file system or fault", name, &names))
}

#[derive(Args)]
pub struct Test {
    #[command(flatten)]
    pub scope: Scope,
    /// Fail when anything is not tested that --except does not name
    #[arg(long, conflicts_with = "without_docker")]
    pub strict: bool,
}

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    pub select: Select,
    /// Write the results to this directory [default: a new one in --dir]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Continue the run in --out, or the newest one: trials with a record are not repeated
    #[arg(long)]
    pub resume: bool,
    /// Keep the evidence (ledger, artifact, restored data, logs) of these trials in the run's directory
    #[arg(long, value_enum, default_value_t)]
    pub keep: Keep,
    /// Keep at most this much evidence for the run
    #[arg(long, value_name = "SIZE", default_value_t = KEEP_BYTES, value_parser = quantity::size)]
    pub keep_bytes: ByteSize,
    /// Run only part K of N of the plan: 'report --merge' joins the parts to one run
    #[arg(long, value_name = "K/N")]
    pub shard: Option<ShardFlag>,
    #[command(flatten)]
    pub gate: Gate,
}

/// The default limit on the evidence that is kept for a run.
pub const KEEP_BYTES: ByteSize = ByteSize::gib(10);

/// The trials of which evidence is kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    /// Trials that did not end as promised or expected
    #[default]
    Failed,
    /// All trials
    All,
    /// No trial
    None,
}

impl From<Keep> for harness::trial::Keep {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::Failed => harness::trial::Keep::Failed,
            Keep::All => harness::trial::Keep::All,
            Keep::None => harness::trial::Keep::None,
        }
    }
}

impl Run {
    /// The given flags for directories and kept evidence, as text for a command line.
    pub fn place_flags(&self) -> String {
        let flags = [("--dir", &self.select.place.dir), ("--out", &self.out)];
        let given = flags.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
        let mut flags: String =
            given.map(|(flag, path)| format!(" {flag} {}", quoted(&path.to_string_lossy()))).collect();
        flags += match self.keep {
            Keep::Failed => "",
            Keep::All => " --keep all",
            Keep::None => " --keep none",
        };
        if self.keep_bytes != KEEP_BYTES {
            flags += &format!(" --keep-bytes {}", size_label(self.keep_bytes));
        }
        flags
    }
}

#[derive(Args)]
pub struct Images {
    /// Only these images [default: all]
    #[arg(value_parser = engines::registry::image_named)]
    kinds: Vec<&'static ImageKind>,
    #[command(flatten)]
    pub place: Place,
}

impl Images {
    pub fn kinds(&self) -> Vec<&'static ImageKind> {
        if self.kinds.is_empty() { engines::registry::images() } else { self.kinds.clone() }
    }
}

#[derive(Args)]
pub struct Generate {
    /// Dataset profile
    #[arg(long, default_value = "torrust-demo")]
    pub profile: String,
    /// Size of the database file (1GiB, 500MB)
    #[arg(long, value_parser = quantity::size)]
    pub size: ByteSize,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File to write
    pub file: PathBuf,
}

#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    pub select: Select,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Args)]
pub struct List {
    /// What to list [default: all]
    #[arg(value_enum)]
    pub what: Option<Listed>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    Strategies,
    Faults,
    Stages,
    Scenarios,
    Profiles,
}

#[derive(Args)]
pub struct Report {
    /// A results.json or its directory [default: the newest run]
    pub results: Option<PathBuf>,
    /// Print the comparison in this format instead of writing the files of the report
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Print what artifacts that left the machine cost, at the prices in this file
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    pub prices: Option<PathBuf>,
    /// Merge the results of all shards of a run, made with 'run --shard', into one run
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "results", requires = "out")]
    pub merge: Vec<PathBuf>,
    /// Also merge shards from different machines, whose absolute times cannot be compared
    #[arg(long, requires = "merge")]
    pub allow_different_machines: bool,
    /// Write the merged run to this directory
    #[arg(long, value_name = "DIR", requires = "merge")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct RunsPage {
    /// Runs that the page is made from: for each, a results.json or its directory
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// Write the page to this file [default: claims.md or defects.md]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct Judge {
    /// A results.json or its directory [default: the newest run]
    pub results: Option<PathBuf>,
    /// Only trials with this text in their id [default: all trials with kept evidence]
    pub trial: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct Clean {
    /// Remove the kept evidence of all runs in --dir as well
    #[arg(long)]
    pub kept: bool,
    /// Remove the cached datasets as well
    #[arg(long)]
    pub datasets: bool,
    #[command(flatten)]
    pub place: Place,
}

/// The error for the first argument that is not UTF-8, whatever it is for.
pub fn not_utf8() -> Option<Error> {
    let argument = std::env::args_os().find(|argument| argument.to_str().is_none())?;
    Some(Error::not_utf8(argument.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }
}
