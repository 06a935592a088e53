//! Which trials run: a scenario, with overrides and filters.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use harness::plan::{Plan, size_label};
use harness::scenario::{Filter, Overrides, Scenario};
use machine::error::Result;
use machine::{quantity, this_program};
use model::schedule::Rate;

use super::place::Place;
use super::quoting::quoted;

/// The scenario to run when none is named.
pub const DEFAULT_SCENARIO: &str = "quick";

#[derive(Args)]
pub struct Select {
    /// Name of a shipped scenario, or path of a scenario file
    #[arg(default_value = DEFAULT_SCENARIO)]
    pub scenario: String,
    /// Only trials with this text in their id (repeatable; 'plan' shows the ids)
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Only trials that match these conditions, such as strategy=cold-copy,size!=1GiB (repeatable: one must match)
    #[arg(long, value_name = "CONDITIONS")]
    filter: Vec<Filter>,
    /// No trials that match these conditions (repeatable)
    #[arg(long, value_name = "CONDITIONS")]
    exclude: Vec<Filter>,
    /// Use this dataset size instead of the scenario's (1GiB, 500MB)
    #[arg(long, value_parser = quantity::size)]
    size: Option<ByteSize>,
    /// Use a copy of this SQLite file, with any schema, instead of the scenario's databases; the file is only read
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    database: Option<PathBuf>,
    /// Use this rate in writes per second, or 'closed' (a closed loop), instead of the scenario's
    #[arg(long)]
    rate: Option<Rate>,
    /// Use this random seed instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Run each trial this many times
    #[arg(long)]
    repetitions: Option<u32>,
    /// Longest time for a backup, and for a restore (90s, 5m, 1h30m)
    #[arg(long, value_name = "DURATION", value_parser = quantity::seconds)]
    deadline: Option<f64>,
    #[command(flatten)]
    pub place: Place,
}

impl Select {
    pub fn overrides(&self) -> Overrides {
        Overrides {
            only: self.only.clone(),
            filter: self.filter.clone(),
            exclude: self.exclude.clone(),
            size: self.size,
            rate: self.rate,
            seed: self.seed,
            repetitions: self.repetitions,
            deadline_seconds: self.deadline,
            database: self.database.clone(),
        }
    }

    /// The selected trials.
    ///
    /// # Errors
    /// When the scenario cannot be read or planned.
    pub fn plan(&self) -> Result<Plan> {
        Plan::new(Scenario::load(&self.scenario, &self.directory())?, &self.overrides())
    }

    pub fn directory(&self) -> PathBuf {
        self.place.directory()
    }

    /// The command line that selects the same trials on any machine.
    pub fn command_line(&self) -> String {
        let mut words = vec![this_program::name().to_owned(), "run".to_owned(), quoted(&self.scenario)];
        words.extend(self.only.iter().map(|only| format!("--only {}", quoted(only))));
        words.extend(self.filter.iter().map(|filter| format!("--filter {}", quoted(&filter.to_string()))));
        words.extend(self.exclude.iter().map(|filter| format!("--exclude {}", quoted(&filter.to_string()))));
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Arguments, Command};
    use super::*;

    #[test]
    fn the_command_line_that_is_shown_selects_the_same_trials() {
        let line = "cargo xtask run sizes --only 'step_pages=100 x' --filter 'size!=1MiB,mode=wal' \
                    --exclude engine=mysql --size 1GiB --rate closed --seed 7";
        let words = ["x", "run", "sizes", "--only", "step_pages=100 x", "--size", "1GiB", "--rate", "closed"];
        let words = words.into_iter().chain(["--filter", "size!=1MiB,mode=wal", "--exclude", "engine=mysql"]);
        let Ok(Arguments { command: Command::Run(run), .. }) =
            Arguments::try_parse_from(words.chain(["--seed", "7"]))
        else {
            panic!("the words are valid")
        };
        assert_eq!(run.select.command_line(), line);
        let Ok(Arguments { command: Command::Run(run), .. }) =
            Arguments::try_parse_from(["x", "run", "--database", "my own.db"])
        else {
            panic!("the words are valid")
        };
        assert_eq!(run.select.command_line(), "cargo xtask run quick --database 'my own.db'");
        assert_eq!(run.place_flags(), "");
        let words = ["x", "run", "--dir", "a b", "--keep", "all", "--keep-bytes", "1GB"];
        let Ok(Arguments { command: Command::Run(run), .. }) = Arguments::try_parse_from(words) else {
            panic!("the words are valid")
        };
        assert_eq!(run.place_flags(), " --dir 'a b' --keep all --keep-bytes 1GB");
        assert_eq!(size_label(ByteSize::gib(1)), "1GiB");
        assert_eq!(size_label(ByteSize(1_500_000_000)), "1.5GB");
        assert_eq!(size_label(ByteSize(1_500_000_001)), "1500000001");
    }
}
