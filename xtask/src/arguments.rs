//! The command line's grammar.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use harness::error::Error;
use harness::file_system::FileSystem;
use harness::images::Kind;
use harness::plan::size_label;
use harness::scenario::Overrides;
use harness::strategy::STRATEGIES;
use harness::workload::schedule::Rate;

use crate::compare::{Compare, Gate};
use crate::merge::ShardFlag;
use crate::prove::Prove;

/// Backup Drill: which backup strategy brings this database back, how long does it take, what does it cost
/// while the application runs, and what is lost?
///
/// Exit codes: 0 as expected, 1 a strategy fell short or regressed, 2 bad usage or input, 3 inconclusive,
/// 4 the environment lacks something that was asked for, 70 a bug, 130 interrupted.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a scenario and write results.json and report.md
    Run(Run),
    /// Show the trials that a run would do, the disk it needs and the time it would take
    Plan(Select),
    /// List strategies with promises and settings, scenarios, and dataset profiles
    List,
    /// Show what this machine can run, what is missing and how to get it
    Doctor(Place),
    /// Get the images that containers are made from: pulled, or built from packages
    Images(Images),
    /// Generate a database into a file
    Generate(Generate),
    /// Tell whether a run is worse than a baseline, or one variant of a pair than the other
    Compare(Compare),
    /// Measure how often something of this program is wrong
    Prove(Prove),
    /// Render report.md again from a results.json, or one report from the shards of a run
    Report(Report),
    /// Verify kept evidence again with this version's verifier, on a copy
    Judge(Judge),
    /// Get what the checks and tests of this repository need: packages and images
    Setup(Scope),
    /// Run all checks and tests of this repository
    Test(Test),
    /// Remove what a killed run left behind
    Clean(Clean),
}

/// What is run when no scenario is named.
pub const DEFAULT_SCENARIO: &str = "quick";

#[derive(Args)]
pub struct Place {
    /// Directory of datasets, working copies and results: put it on the disk that is to be measured
    /// [default: target/drill]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Place {
    /// The directory asked for, or `target/drill` of this repository.
    pub fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(default_directory)
    }
}

/// Where everything is kept that has no other place.
pub fn default_directory() -> PathBuf {
    workspace_root().join("target/drill")
}

/// What the checks and tests of this repository are to cover.
#[derive(Args)]
pub struct Scope {
    /// Pass over what needs Docker, and list it
    #[arg(long)]
    pub without_docker: bool,
    /// Do without this strategy or file system where it cannot be tested (repeatable)
    #[arg(long, value_name = "NAME", value_parser = exception)]
    pub except: Vec<String>,
}

impl Scope {
    pub fn excepts(&self, name: &str) -> bool {
        self.except.iter().any(|excepted| excepted == name)
    }
}

fn exception(name: &str) -> Result<String, String> {
    let strategies = STRATEGIES.iter().map(|strategy| strategy.card().name);
    let names: Vec<&str> = strategies.chain(FileSystem::MADE.map(FileSystem::name)).collect();
    let known = names.contains(&name).then(|| name.to_owned());
    known.ok_or_else(|| harness::error::unknown("strategy or file system", name, &names))
}

#[derive(Args)]
pub struct Test {
    #[command(flatten)]
    pub scope: Scope,
    /// Fail when anything is not tested, unless it is excepted
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
    /// Go on with the run in --out, or the newest one: trials with a record are not repeated
    #[arg(long)]
    pub resume: bool,
    /// Keep the evidence (ledger, artifact, restored data, logs) of these trials in the directory of the run
    #[arg(long, value_enum, default_value_t)]
    pub keep: Keep,
    /// Keep at most this much evidence of a run
    #[arg(long, value_name = "SIZE", default_value_t = KEEP_BYTES)]
    pub keep_bytes: ByteSize,
    /// Only the K-th of N parts of the plan: 'report --merge' makes one run of them
    #[arg(long, value_name = "K/N")]
    pub shard: Option<ShardFlag>,
    #[command(flatten)]
    pub gate: Gate,
}

const KEEP_BYTES: ByteSize = ByteSize::gib(10);

/// Whose evidence is kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    /// Trials that did not come to what was promised or expected
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
    /// The flags that say where, and what is kept there, as they were given.
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
pub struct Select {
    /// Name of a shipped scenario, or path of a scenario file
    #[arg(default_value = DEFAULT_SCENARIO)]
    pub scenario: String,
    /// Only trials whose id contains this text (repeatable; 'plan' shows the ids)
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// This dataset size instead of the scenario's (1GiB, 500MB)
    #[arg(long)]
    size: Option<ByteSize>,
    /// A copy of this SQLite file instead of the scenario's databases: any schema, and the file itself is only read
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    database: Option<PathBuf>,
    /// This rate in writes per second, or 'closed', instead of the scenario's
    #[arg(long)]
    rate: Option<Rate>,
    /// Another seed
    #[arg(long)]
    seed: Option<u64>,
    /// Run each trial this many times
    #[arg(long)]
    repetitions: Option<u32>,
    /// Give the backup, and the restore, at most this many seconds
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
    #[command(flatten)]
    place: Place,
}

impl Select {
    pub fn overrides(&self) -> Overrides {
        Overrides {
            only: self.only.clone(),
            size: self.size,
            rate: self.rate,
            seed: self.seed,
            repetitions: self.repetitions,
            deadline_seconds: self.deadline,
            database: self.database.clone(),
        }
    }

    pub fn directory(&self) -> PathBuf {
        self.place.directory()
    }

    /// The command that selects the same trials on any machine.
    pub fn command_line(&self) -> String {
        let mut words = vec!["cargo xtask run".to_owned(), quoted(&self.scenario)];
        for only in &self.only {
            words.push(format!("--only {}", quoted(only)));
        }
        let flags = [
            ("--size", self.size.map(size_label)),
            ("--database", self.database.as_ref().map(|file| quoted(&file.to_string_lossy()))),
            ("--rate", self.rate.map(|rate| rate.to_string().trim_end_matches("/s").to_owned())),
            ("--seed", self.seed.map(|seed| seed.to_string())),
            ("--repetitions", self.repetitions.map(|count| count.to_string())),
            ("--deadline", self.deadline.map(|seconds| seconds.to_string())),
        ];
        words.extend(flags.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", value?))));
        words.join(" ")
    }
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./=,:".contains(character);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[derive(Args)]
pub struct Images {
    /// Only these [default: all]
    #[arg(value_parser = kind)]
    kinds: Vec<Kind>,
    #[command(flatten)]
    pub place: Place,
}

impl Images {
    pub fn kinds(&self) -> Vec<Kind> {
        if self.kinds.is_empty() { Kind::ALL.to_vec() } else { self.kinds.clone() }
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let names = Kind::ALL.map(Kind::name);
    let known = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| harness::error::unknown("image", name, &names))
}

#[derive(Args)]
pub struct Generate {
    /// Dataset profile
    #[arg(long, default_value = "torrust-demo")]
    pub profile: String,
    /// Size of the database file (1GiB, 500MB)
    #[arg(long)]
    pub size: ByteSize,
    /// What the content follows from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File to write
    pub file: PathBuf,
}

#[derive(Args)]
pub struct Report {
    /// A results.json or its directory [default: the newest run]
    pub results: Option<PathBuf>,
    /// The results of all shards of a run, made with 'run --shard', as one run
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "results", requires = "out")]
    pub merge: Vec<PathBuf>,
    /// Merge shards of different machines: their bare seconds cannot be compared
    #[arg(long, requires = "merge")]
    pub allow_different_machines: bool,
    /// Where the merged run goes
    #[arg(long, value_name = "DIR", requires = "merge")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct Judge {
    /// A results.json or its directory [default: the newest run]
    pub results: Option<PathBuf>,
    /// Only trials whose id contains this text [default: all that were kept]
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

/// The refusal of the first argument that is not UTF-8, whatever it is for.
pub fn not_utf8() -> Option<Error> {
    let argument = std::env::args_os().find(|argument| argument.to_str().is_none())?;
    Some(Error::not_utf8(argument.as_ref()))
}

/// The repository that this program was started in, by cargo, or the current directory.
pub fn workspace_root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = manifest.and_then(|directory| Some(directory.parent()?.to_owned()));
    root.unwrap_or_else(|| PathBuf::from("."))
}

/// The package version, with the commit where git knows it.
pub fn version() -> String {
    let package = env!("CARGO_PKG_VERSION");
    let described = std::process::Command::new("git")
        .arg("-C")
        .arg(workspace_root())
        .args(["describe", "--always", "--dirty"])
        .stderr(std::process::Stdio::null())
        .output();
    match described {
        Ok(output) if output.status.success() => {
            format!("{package} ({})", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => package.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_command_line_that_is_shown_selects_the_same_trials() {
        let line = "cargo xtask run sizes --only 'step_pages=100 x' --size 1GiB --rate closed --seed 7";
        let words = ["x", "run", "sizes", "--only", "step_pages=100 x", "--size", "1GiB", "--rate", "closed"];
        let Ok(Arguments { command: Command::Run(run) }) =
            Arguments::try_parse_from(words.into_iter().chain(["--seed", "7"]))
        else {
            panic!("the words are valid")
        };
        assert_eq!(run.select.command_line(), line);
        let Ok(Arguments { command: Command::Run(run) }) =
            Arguments::try_parse_from(["x", "run", "--database", "my own.db"])
        else {
            panic!("the words are valid")
        };
        assert_eq!(run.select.command_line(), "cargo xtask run quick --database 'my own.db'");
        assert_eq!(run.place_flags(), "");
        let words = ["x", "run", "--dir", "a b", "--keep", "all", "--keep-bytes", "1GB"];
        let Ok(Arguments { command: Command::Run(run) }) = Arguments::try_parse_from(words) else {
            panic!("the words are valid")
        };
        assert_eq!(run.place_flags(), " --dir 'a b' --keep all --keep-bytes 1000000000");
        assert_eq!(size_label(ByteSize::gib(1)), "1GiB");
        assert_eq!(size_label(ByteSize(1_500_000_000)), "1500000000");
    }
}
