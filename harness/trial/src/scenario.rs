//! Scenario files: the definition of a set of trials.
//!
//! A scenario names the subject, one dataset profile and one workload, the values of each dimension that varies
//! (`engines`, `apps`, `journal_modes`, `file_systems`, `sizes`, `rates`, `stages`, `faults`), and the variants to test. The plan is their
//! Cartesian product.

mod filter;
mod shipped;
mod variant;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytesize::ByteSize;
use engines::engine::Engine;
use engines::subject_section::SubjectSection;
use machine::process::Limits;
use machine::quantity;
use model::schedule::{Arrivals, Pattern, Rate};
use model::verify::Level;
use serde::{Deserialize, Serialize};

use crate::fault::FaultChoice;
use crate::stages::StageChoice;
pub use filter::{Condition, Filter, Value};
pub use variant::{Form, Variant};

/// A scenario file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its extension.
    #[serde(skip)]
    pub name: String,
    /// The directory of the file: relative paths in the scenario are resolved against it.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The user's own database file, used instead of generated datasets; a relative path is resolved against the
    /// directory.
    #[serde(default, skip_serializing)]
    pub database: Option<PathBuf>,
    /// What it is for, in a sentence or two: shown at the top of its report.
    pub description: String,
    /// Random seed of datasets, workloads and arrivals.
    #[serde(default = "one_u64")]
    pub seed: u64,
    /// How often each trial is run.
    #[serde(default = "one_u32")]
    pub repetitions: u32,
    /// The system under test.
    #[serde(default)]
    pub subject: SubjectSection,
    /// The databases.
    #[serde(default)]
    pub dataset: DatasetSection,
    /// The concurrent writes.
    pub workload: WorkloadSection,
    /// Times and limits of a trial.
    #[serde(default)]
    pub trial: TrialSection,
    /// What goes wrong on purpose: one set of trials each. `none` is a trial without a fault.
    #[serde(default = "no_faults")]
    pub faults: Vec<FaultChoice>,
    /// How the artifact leaves the machine: one set of trials for each list of stages. With an empty list, it stays.
    #[serde(default = "no_stages")]
    pub stages: Vec<Vec<StageChoice>>,
    /// Limits on measurements, for all variants that promise something: a value outside its limit fails the run.
    #[serde(default)]
    pub thresholds: BTreeMap<String, String>,
    /// The strategies to test, with their settings.
    pub variants: Vec<Variant>,
    /// Variants that are compared with each other: their repetitions alternate, A B B A.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
}

/// Two variants that are compared with each other, by the names that reports show: the given name, the settings, or the
/// strategy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The reference variant.
    pub a: String,
    /// The variant that is compared with it.
    pub b: String,
}

/// The databases.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetSection {
    /// Name in the registry of profiles.
    pub profile: String,
    /// Target sizes: one set of trials each.
    #[serde(deserialize_with = "quantity::sizes")]
    pub sizes: Vec<ByteSize>,
}

impl Default for DatasetSection {
    fn default() -> Self {
        DatasetSection { profile: "torrust-demo".into(), sizes: Vec::new() }
    }
}

/// The concurrent writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSection {
    /// Writes per second over all writers, or "closed": one set of trials each.
    pub rates: Vec<Rate>,
    /// Distribution of the arrival times.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// How the rate changes over time.
    #[serde(default)]
    pub pattern: Pattern,
    /// Concurrent writers.
    #[serde(default = "one_u32")]
    pub writers: u32,
    /// Number of rows that a plain write changes.
    #[serde(default = "one_u32")]
    pub rows_per_transaction: u32,
    /// Share of the writes that change several rows which must stay consistent with each other.
    #[serde(default = "a_quarter")]
    pub multi_row_share: f64,
    /// Share of the writes that a running application may refuse; above it, the trial is unverified.
    #[serde(default = "a_tenth")]
    pub errors_allowed: f64,
}

/// Times and limits of a trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialSection {
    /// Length of the reference window.
    pub reference_seconds: f64,
    /// How long the workload goes on after the backup.
    pub tail_seconds: f64,
    /// Time limit for the backup, and for the restore.
    pub deadline_seconds: f64,
    /// A backup that reports its progress, or rewrites what it has written, is stalled when it makes no progress for
    /// this many times the duration of a plain copy ...
    pub stall_copies: f64,
    /// ... but not before this time.
    pub stall_seconds_min: f64,
    /// A command is stalled when it prints nothing and no file that it writes grows for this time.
    pub stall_quiet_seconds: f64,
    /// The level of the verification; null for what the size of the database suggests.
    pub integrity: Option<Level>,
    /// Memory that the processes and containers of the strategy share; null for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_memory: Option<ByteSize>,
    /// Processors that they may keep busy together; null for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_cpus: Option<f64>,
}

impl Default for TrialSection {
    fn default() -> Self {
        TrialSection {
            reference_seconds: 5.0,
            tail_seconds: 2.0,
            deadline_seconds: 3600.0,
            stall_copies: 20.0,
            stall_seconds_min: 10.0,
            stall_quiet_seconds: 600.0,
            integrity: None,
            strategy_memory: None,
            strategy_cpus: None,
        }
    }
}

impl TrialSection {
    /// What the processes and containers of the strategy may use.
    pub fn limits(&self) -> Limits {
        Limits { memory_bytes: self.strategy_memory.map(|bytes| bytes.0), cpus: self.strategy_cpus }
    }

    /// The level at which a database of this size is verified.
    pub fn level(&self, engine: &dyn Engine, bytes: u64) -> Level {
        let suggested = if bytes < engine.fast_from_bytes() { Level::Full } else { Level::Fast };
        self.integrity.unwrap_or(suggested)
    }
}

fn no_faults() -> Vec<FaultChoice> {
    vec![FaultChoice::none()]
}

fn no_stages() -> Vec<Vec<StageChoice>> {
    vec![Vec::new()]
}

fn one_u64() -> u64 {
    1
}

fn one_u32() -> u32 {
    1
}

fn a_quarter() -> f64 {
    0.25
}

fn a_tenth() -> f64 {
    0.1
}

/// What the command line changes about a scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Keep only trials whose id contains one of these.
    pub only: Vec<String>,
    /// Keep only trials that one of these matches.
    pub filter: Vec<Filter>,
    /// Leave out trials that one of these matches.
    pub exclude: Vec<Filter>,
    /// One size instead of the scenario's.
    pub size: Option<ByteSize>,
    /// One rate instead of the scenario's.
    pub rate: Option<Rate>,
    /// Another seed.
    pub seed: Option<u64>,
    /// Another number of repetitions.
    pub repetitions: Option<u32>,
    /// Another deadline, in seconds.
    pub deadline_seconds: Option<f64>,
    /// The user's own database file instead of the scenario's databases.
    pub database: Option<PathBuf>,
}

impl Scenario {
    /// Reads a scenario from its text; relative paths in it are resolved against the current directory.
    ///
    /// # Errors
    /// The place and the cause.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, String> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        name.clone_into(&mut scenario.name);
        scenario.directory = PathBuf::from(".");
        Ok(scenario)
    }

    /// Applies the overrides of the command line.
    pub fn apply(&mut self, overrides: &Overrides) {
        if let Some(size) = overrides.size {
            self.dataset.sizes = vec![size];
        }
        if let Some(rate) = overrides.rate {
            self.workload.rates = vec![rate];
        }
        self.seed = overrides.seed.unwrap_or(self.seed);
        self.repetitions = overrides.repetitions.unwrap_or(self.repetitions);
        self.trial.deadline_seconds = overrides.deadline_seconds.unwrap_or(self.trial.deadline_seconds);
        if overrides.database.is_some() {
            self.database.clone_from(&overrides.database);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        description = "small"
        [dataset]
        sizes = ["1MiB"]
        [workload]
        rates = [10, "closed"]
        [[variants]]
        strategy = "cold-copy"
    "#;

    #[test]
    fn a_small_scenario_has_the_defaults() {
        let scenario = Scenario::parse("small", SMALL).unwrap();
        assert_eq!(scenario.workload.rates, [Rate::Open(10.0), Rate::Closed]);
        let modes: Vec<&str> = scenario.subject.modes.iter().map(|mode| mode.name).collect();
        assert_eq!(modes, ["wal"]);
        assert_eq!(scenario.dataset.profile, "torrust-demo");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let text = SMALL.replace("sizes", "sise");
        insta::assert_snapshot!(Scenario::parse("small", &text).unwrap_err());
    }

    #[test]
    fn an_impossible_rate_is_refused_with_its_place() {
        let text = SMALL.replace("\"closed\"", "\"fast\"");
        insta::assert_snapshot!(Scenario::parse("small", &text).unwrap_err());
    }

    #[test]
    fn large_sqlite_databases_are_verified_fast_by_default() {
        let (sqlite, _) = engines::registry::of_files();
        let trial = TrialSection::default();
        assert_eq!(trial.level(sqlite, (1 << 30) - 1), Level::Full);
        assert_eq!(trial.level(sqlite, 1 << 30), Level::Fast);
        let full = TrialSection { integrity: Some(Level::Full), ..trial };
        assert_eq!(full.level(sqlite, u64::MAX), Level::Full);
    }
}
