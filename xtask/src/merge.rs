//! `run --shard` and `report --merge`: runs parts of a plan, and merges them into one run.

use std::path::{Path, PathBuf};

use machine::error::{Error, Result};
use reports::merge;

use crate::{compare, exit, results_file};

/// `K/N`: the K-th of N parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardFlag {
    pub number: u32,
    pub of: u32,
}

impl std::str::FromStr for ShardFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<ShardFlag, String> {
        let numbers =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        numbers
            .filter(|(number, of)| (1..=*of).contains(number))
            .map(|(number, of)| ShardFlag { number, of })
            .ok_or_else(|| "expected the number of the shard and the number of shards, such as 2/3".into())
    }
}

impl std::fmt::Display for ShardFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Merges the shards in these directories, and writes results and report to `out`. The exit code is that of the whole
/// run.
///
/// # Errors
/// When they are not the shards of one run, or `out` cannot be written or already contains results.
pub fn merge(shards: &[PathBuf], allow_different_machines: bool, out: &Path) -> Result<u8> {
    let named = |path: &PathBuf| Ok((path.display().to_string(), results_file::load(path)?));
    let shards: Vec<_> = shards.iter().map(named).collect::<Result<_>>()?;
    let merged =
        merge::merge(shards, allow_different_machines).map_err(|error| Error::Input(error.to_string()))?;
    let results = &merged.results;
    let file = out.join(harness::run::RESULTS);
    if file.exists() {
        return Err(Error::Input(format!("{} exists already: choose another --out", file.display())));
    }
    let refused = |error: std::io::Error| Error::Input(format!("cannot write to {}: {error}", out.display()));
    std::fs::create_dir_all(out).map_err(refused)?;
    let json = serde_json::to_string_pretty(results).expect("results are plain data");
    std::fs::write(&file, json).map_err(refused)?;
    println!("{}", file.display());
    for rendered in reports::render::files(results) {
        let report = out.join(rendered.name);
        std::fs::write(&report, rendered.content).map_err(refused)?;
        println!("{}", report.display());
    }
    if !merged.missing.is_empty() {
        let missing: Vec<String> = merged.missing.iter().map(u32::to_string).collect();
        eprintln!(
            "missing shards: {}; {} of {} trials have a record",
            missing.join(", "),
            results.trials.len(),
            results.run.planned_trials
        );
    }
    Ok(exit::of_outcome(compare::outcome(results)))
}

#[cfg(test)]
mod tests {
    use super::ShardFlag;

    #[test]
    fn a_shard_flag_has_a_number_from_one_to_the_count() {
        assert_eq!("2/3".parse(), Ok(ShardFlag { number: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "2", "2/", "a/b", "2/0", "-1/3"] {
            assert!(wrong.parse::<ShardFlag>().is_err(), "{wrong}");
        }
    }
}
