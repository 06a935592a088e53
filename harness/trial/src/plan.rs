//! Expands a scenario into its trials. The scenario is validated as a whole before anything has an effect.

mod filter;
#[cfg(test)]
mod foreign;
mod limits;
mod own;
mod pairs;
mod shard;
mod suited;
mod thresholds;
mod trial_plan;
mod validate;

use std::collections::BTreeMap;
use std::path::Path;

use bytesize::ByteSize;
use engines::applications::App;
use engines::engine::Engine;
use machine::error::{Error, Result};
use machine::measure::storage::free_bytes;
use model::dataset::{self, DatasetSpec};
use model::schedule::{Load, Rate};
use model::writes::{Marks, Model};
use reports::record::Shard;
use strategies::contract::{Card, Settings};
use strategies::registry;

pub use crate::deployment::Deployment;
use crate::fault::FaultChoice;
use crate::scenario::{Overrides, Scenario, Variant};
use crate::stages::StageChoice;
pub use limits::limits;
pub use suited::Unsuited;
use suited::{with_fault, with_stages};
use trial_plan::copy_seconds;
pub use trial_plan::{ASSUMED_COPY_BYTES_PER_SECOND, TrialPlan};
use validate::validate;

/// More trials than this would take months, and are a slip of the pen.
const TRIALS_MAX: usize = 100_000;

/// All trials of a run.
pub struct Plan {
    /// The scenario, overrides applied.
    pub scenario: Scenario,
    /// In the order in which they run.
    pub trials: Vec<TrialPlan>,
    /// The faults and stages that make no sense for a strategy on a subject.
    pub unsuited: Vec<Unsuited>,
    /// Which part of the scenario's plan this is; `None` for the whole plan.
    pub shard: Option<Shard>,
}

impl Plan {
    /// Plans a scenario.
    ///
    /// # Errors
    /// [`Error::Input`] that names what is invalid in the scenario or in the overrides.
    pub fn new(mut scenario: Scenario, overrides: &Overrides) -> Result<Plan> {
        scenario.apply(overrides);
        own::adapt(&mut scenario)?;
        let place = |message: String| Error::Input(format!("scenario '{}': {message}", scenario.name));
        validate(&scenario).and_then(|()| thresholds::check(&scenario)).map_err(place)?;
        let faults = scenario.faults.iter().map(FaultChoice::configure).collect::<Result<Vec<_>, _>>();
        let faults = faults.map_err(|message| place(format!("faults: {message}")))?;
        let stages = scenario.stages.iter().map(|list| StageChoice::configure(list));
        let stages =
            stages.collect::<Result<Vec<_>, _>>().map_err(|message| place(format!("stages: {message}")))?;
        let (mut trials, mut unsuited) = (Vec::new(), Vec::new());
        for repetition in 1..=scenario.repetitions {
            for size in &scenario.dataset.sizes {
                for rate in &scenario.workload.rates {
                    let block =
                        plan_block(&scenario, repetition, *size, *rate).map_err(|error| match error {
                            Error::Input(message) => place(message),
                            other => other,
                        })?;
                    for (fault, stages) in
                        faults.iter().flat_map(|fault| stages.iter().map(move |list| (fault, list)))
                    {
                        for trial in &block {
                            match with_stages(trial, stages.as_ref())
                                .and_then(|trial| with_fault(&trial, fault.as_ref()))
                            {
                                Ok(_) if trials.len() == TRIALS_MAX => {
                                    let message = format!("it has more than {TRIALS_MAX} trials: vary less");
                                    return Err(place(message));
                                }
                                Ok(trial) => trials.push(trial),
                                Err(reason) if !unsuited.contains(&reason) => unsuited.push(reason),
                                Err(_) => {}
                            }
                        }
                    }
                }
            }
        }
        if trials.is_empty() {
            return Err(place("none of its faults and stages makes sense for any of its trials".into()));
        }
        let mut ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(place(format!("the trial '{}' is planned twice", twice[0])));
        }
        pairs::check(&trials, &scenario.pairs).map_err(place)?;
        filter::keep(&mut trials, overrides).map_err(|message| place(message.to_string()))?;
        let trials = pairs::interleave(trials, &scenario.pairs);
        Ok(Plan { scenario, trials, unsuited, shard: None })
    }

    /// The datasets that the trials use, with the size of each on its engine.
    pub fn datasets(&self) -> Vec<(&'static dyn Engine, DatasetSpec, u64)> {
        let mut datasets: Vec<(&'static dyn Engine, DatasetSpec, u64)> = Vec::new();
        for trial in &self.trials {
            let engine = trial.deployment.engine;
            if !datasets.iter().any(|(on, known, _)| (*on, known) == (engine, &trial.dataset)) {
                datasets.push((engine, trial.dataset.clone(), trial.dataset_bytes));
            }
        }
        datasets
    }

    /// Peak disk space of the run: every dataset once, including those that are already cached, and the largest
    /// trial.
    pub fn disk_bytes(&self) -> u64 {
        let cached: u64 = self.datasets().iter().map(|(_, _, bytes)| bytes).sum();
        cached + self.trials.iter().map(TrialPlan::disk_bytes).max().unwrap_or(0)
    }

    /// # Errors
    /// [`Error::Environment`] when the file system of `directory` has too little space. `cached` is the size of the
    /// datasets that it already contains.
    pub fn check_disk(&self, directory: &Path, cached: u64) -> Result<()> {
        let needed = self.disk_bytes().saturating_sub(cached);
        let free = free_bytes(directory)
            .map_err(|error| Error::Input(format!("cannot use {}: {error}", directory.display())))?;
        if free >= needed {
            return Ok(());
        }
        Err(Error::Environment(format!(
            "too little disk space for scenario '{}': it needs {} more in {} (datasets, and for the largest trial the \
             live database, the artifact and the restored database), and {} are free; free some space, choose a \
             smaller --size, or another disk with --dir",
            self.scenario.name,
            ByteSize(needed),
            directory.display(),
            ByteSize(free),
        )))
    }

    /// Estimated duration of the run in seconds, at [`ASSUMED_COPY_BYTES_PER_SECOND`].
    pub fn seconds(&self) -> f64 {
        let generate: f64 = self.datasets().iter().map(|(_, _, bytes)| copy_seconds(*bytes)).sum();
        generate + self.trials.iter().map(|trial| trial.seconds(&self.scenario)).sum::<f64>()
    }
}

/// Plans the trials of one repetition, size and rate.
fn plan_block(scenario: &Scenario, repetition: u32, size: ByteSize, rate: Rate) -> Result<Vec<TrialPlan>> {
    let mut trials = Vec::new();
    let workload = &scenario.workload;
    let dataset =
        DatasetSpec { profile: scenario.dataset.profile.clone(), target_bytes: size.0, seed: scenario.seed };
    let torrents = dataset::original_torrents(&dataset)?.torrents();
    let deployments = Deployment::all(&scenario.subject);
    let mut used = vec![false; scenario.variants.len()];
    for deployment in &deployments {
        let model = model(scenario, deployment.app, repetition, torrents);
        let torrents_min = Model::torrents_min(model.marks, model.writers, model.rows_per_transaction);
        if torrents < torrents_min {
            return Err(Error::Input(format!(
                "{} writers with {} rows per transaction need {torrents_min} torrents, but a database of {size} has \
                 {torrents}: choose a larger size, fewer writers or fewer rows",
                model.writers, model.rows_per_transaction
            )));
        }
        let dataset_bytes = own::predicted_bytes(scenario, deployment.engine, &dataset)?;
        for (number, variant) in scenario.variants.iter().enumerate() {
            let found = registry::named(&variant.strategy)?;
            if !is_for(deployment, variant, found.card()) {
                continue;
            }
            used[number] = true;
            let place =
                |message| Error::Input(format!("variant {} ({}): {message}", number + 1, variant.strategy));
            if variant.versions.is_some() && !found.card().has_setting("version") {
                return Err(place("this strategy does not support `versions`; remove the key".to_owned()));
            }
            for form in variant.forms().map_err(place)? {
                let strategy = found.configure(&form.settings).map_err(place)?;
                strategy.check(&scenario.directory).map_err(place)?;
                let thresholds = thresholds::of(scenario, variant, strategy.promise());
                let label = match form.label(",") {
                    label if label.is_empty() => label,
                    label => format!(":{label}"),
                };
                let name = strategy.name();
                let size = size_label(size);
                let rate_label =
                    rate.writes_per_second().map_or_else(|| "closed".to_owned(), |rate| rate.to_string());
                trials.push(TrialPlan {
                    id: format!("{name}{label}/{}/{size}/{rate_label}/{repetition}", deployment.label()),
                    strategy,
                    variant: form.label(", "),
                    expected: variant.expect.clone(),
                    thresholds,
                    dataset: dataset.clone(),
                    dataset_bytes,
                    deployment: *deployment,
                    load: Load { rate, arrivals: workload.arrivals, pattern: workload.pattern },
                    model: model.clone(),
                    stages: None,
                    fault: None,
                    level: scenario.trial.level(deployment.engine, dataset_bytes),
                    repetition,
                });
            }
        }
    }
    every_variant_is_used(scenario, &used)?;
    Ok(trials)
}

/// True when a variant of this strategy is tried in this deployment.
fn is_for(deployment: &Deployment, variant: &Variant, card: &Card) -> bool {
    let Deployment { engine, app, mode, file_system } = deployment;
    card.supports(*engine)
        && variant.engines.as_ref().is_none_or(|engines| engines.contains(engine))
        && variant.apps.as_ref().is_none_or(|apps| apps.contains(app))
        && variant.file_systems.as_ref().is_none_or(|those| those.contains(file_system))
        && mode.is_none_or(|mode| variant.modes.as_ref().is_none_or(|modes| modes.contains(&mode)))
}

/// # Errors
/// [`Error::Input`] with the first variant that no subject of the scenario uses.
fn every_variant_is_used(scenario: &Scenario, used: &[bool]) -> Result<()> {
    let Some(number) = used.iter().position(|used| !used) else { return Ok(()) };
    let variant = &scenario.variants[number];
    let engines = registry::named(&variant.strategy)?.card().engines().join(" and ");
    Err(Error::Input(format!(
        "variant {} ({}) matches no subject in this scenario: the strategy supports {engines}; check the engines, apps, \
         journal modes and file systems of the scenario and of the variant",
        number + 1,
        variant.strategy
    )))
}

/// The model of the writes of a repetition.
fn model(scenario: &Scenario, app: App, repetition: u32, torrents: u64) -> Model {
    let workload = &scenario.workload;
    // A tracker makes only one kind of write: it counts one more completed download of one torrent.
    let (marks, rows_per_transaction, multi_row_share) = match app {
        App::Embedded => (Marks::Stamps, workload.rows_per_transaction, workload.multi_row_share),
        App::Tracker => (Marks::Counts, 1, 0.0),
    };
    Model {
        // All variants of a repetition get the same writes; each repetition gets different ones.
        seed: scenario.seed.wrapping_add(u64::from(repetition)),
        writers: workload.writers,
        rows_per_transaction,
        multi_row_share,
        marks,
        torrents,
    }
}

/// A size as one word without rounding: `96MiB`, `1.5GiB`, `17GB`, or plain bytes where no short form is exact.
pub fn size_label(size: ByteSize) -> String {
    let short = |text: String| text.replace(".0 ", "").replace(' ', "");
    let forms = [short(size.display().iec().to_string()), short(size.display().si().to_string())];
    forms.into_iter().find(|form| form.parse() == Ok(size)).unwrap_or_else(|| size.0.to_string())
}

/// The settings in the form that records use.
pub fn settings_map(settings: &Settings) -> BTreeMap<String, serde_json::Value> {
    settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::trial_plan::ASSUMED_OVERHEAD_SECONDS;
    use super::*;

    fn plan(text: &str, overrides: &Overrides) -> Result<Plan> {
        Plan::new(Scenario::parse("small", text).unwrap(), overrides)
    }

    #[test]
    fn file_systems_are_a_dimension_and_file_systems_in_files_need_disk_space() {
        let on = SMALL.replace("[subject]", "[subject]\nfile_systems = [\"disk\", \"btrfs\"]");
        let on = on.replace("journal_modes = [\"wal\"]", "file_systems = [\"btrfs\"]");
        let overrides = Overrides { size: Some(ByteSize::mib(4)), ..Overrides::default() };
        let plan = plan(&on, &overrides).unwrap();
        let ids: Vec<&str> = plan.trials.iter().map(|trial| trial.id.as_str()).collect();
        insta::assert_snapshot!(ids.join("\n"), @r"
        cold-copy/wal/4MiB/10/1
        cold-copy/wal-btrfs/4MiB/10/1
        sqlite-online-backup:pinned=true,step_pages=100/wal-btrfs/4MiB/10/1
        cold-copy/delete/4MiB/10/1
        cold-copy/delete-btrfs/4MiB/10/1
        sqlite-online-backup:pinned=true,step_pages=100/delete-btrfs/4MiB/10/1
        ");
        let (disk, own) = (plan.trials[0].disk_bytes(), plan.trials[1].disk_bytes());
        assert!(own > disk && plan.disk_bytes() > own, "{disk} {own}");
    }

    #[test]
    fn what_is_on_its_way_to_a_destination_needs_disk_space() {
        let text = r#"
            description = "small"
            [subject]
            engines = ["mariadb"]
            [dataset]
            sizes = ["64MiB"]
            [workload]
            rates = [10]
            [[variants]]
            strategy = "mariadb-backup"
            [[variants]]
            strategy = "mariadb-backup"
            settings = { destination = "s3" }
        "#;
        let plan = plan(text, &Overrides::default()).unwrap();
        let [stays, leaves] = &plan.trials[..] else { panic!("{} trials", plan.trials.len()) };
        assert_eq!(leaves.disk_bytes() - stays.disk_bytes(), 4 * stays.artifact_bytes_max());
    }

    #[test]
    fn what_has_left_the_machine_does_not_share_its_bad_days() {
        let text = r#"
            description = "small"
            faults = ["power-cut", "power-cut-at-success", "two-at-once", "bit-flip"]
            [subject]
            engines = ["mariadb"]
            [dataset]
            sizes = ["64MiB"]
            [workload]
            rates = [10]
            [[variants]]
            strategy = "mariadb-backup"
            settings = { destination = "s3" }
        "#;
        let plan = plan(text, &Overrides::default()).unwrap();
        let planned: Vec<&str> = plan.trials.iter().map(|trial| trial.id.as_str()).collect();
        assert_eq!(planned, ["mariadb-backup:destination=s3/mariadb/64MiB/10/bit-flip/1"]);
    }

    #[test]
    fn no_trial_is_expected_to_take_longer_than_its_deadlines_allow() {
        let seconds = |deadline_seconds| {
            let overrides =
                Overrides { size: Some(ByteSize::gib(10)), deadline_seconds, ..Overrides::default() };
            let plan = plan(SMALL, &overrides).unwrap();
            (plan.trials[0].seconds(&plan.scenario), plan.scenario.trial.clone())
        };
        let (free, times) = seconds(None);
        let (ended, _) = seconds(Some(10.0));
        let copy = copy_seconds(10 << 30);
        assert!(
            (ended - (ASSUMED_OVERHEAD_SECONDS + copy + times.reference_seconds + 10.0)).abs() < 1.0,
            "{ended}"
        );
        assert!(free > ended + 2.0 * copy, "{free} {ended}");
    }

    const SMALL: &str = r#"
        description = "small"
        [subject]
        journal_modes = ["wal", "delete"]
        [dataset]
        sizes = ["1MiB", "2MiB"]
        [workload]
        rates = [10]
        [[variants]]
        strategy = "cold-copy"
        [[variants]]
        strategy = "sqlite-online-backup"
        settings = { step_pages = 100, pinned = true }
        journal_modes = ["wal"]
    "#;

    #[test]
    fn a_plan_is_the_product_of_what_varies() {
        let plan = plan(SMALL, &Overrides::default()).unwrap();
        let ids: Vec<&str> = plan.trials.iter().map(|trial| trial.id.as_str()).collect();
        insta::assert_snapshot!(ids.join("\n"));
    }

    #[test]
    fn a_name_replaces_the_settings_in_ids() {
        let named = SMALL.replace("settings =", "name = \"in steps\"\nsettings =");
        let plan = plan(&named, &Overrides::default()).unwrap();
        let trial = plan.trials.iter().find(|trial| trial.id.contains("sqlite")).unwrap();
        assert_eq!(trial.id, "sqlite-online-backup:in steps/wal/1MiB/10/1");
        assert_eq!(trial.variant, "in steps");
        assert_eq!(trial.strategy.settings()["step_pages"], 100);
    }

    #[test]
    fn overrides_narrow_the_plan() {
        let overrides = Overrides {
            only: vec!["pinned".into()],
            size: Some(ByteSize::mib(4)),
            repetitions: Some(2),
            ..Overrides::default()
        };
        let plan = plan(SMALL, &overrides).unwrap();
        let ids: Vec<&str> = plan.trials.iter().map(|trial| trial.id.as_str()).collect();
        insta::assert_snapshot!(ids.join("\n"));
    }

    #[test]
    fn what_is_impossible_is_refused_before_anything_happens() {
        let refused = |from: &str, to: &str| match plan(&SMALL.replace(from, to), &Overrides::default()) {
            Err(Error::Input(message)) => message,
            _ => panic!("'{to}' was accepted"),
        };
        let unknown = refused("cold-copy", "cold-cpoy");
        let messages = [
            // Without the list of all strategies.
            unknown.split(": expected one of").next().unwrap().to_owned(),
            refused("step_pages = 100", "step_pages = 0"),
            refused("step_pages = 100", "steps = 1"),
            refused("rates = [10]", "rates = []"),
            refused("rates = [10]", "rates = [10]\nwriters = 1000000"),
            refused("rates = [10]", "rates = [10]\nwriters = 256\nrows_per_transaction = 100"),
            refused("\"2MiB\"", "\"1MiB\""),
            refused("\"1MiB\"", "\"1KiB\""),
            refused("sizes", "profile = \"demo\"\nsizes"),
            refused("[subject]", "[subject]\nextents = 1000"),
            refused("journal_modes = [\"wal\"]\n", "file_systems = [\"xfs\"]\n"),
            refused("sizes", "profile = \"own-database\"\nsizes"),
            refused("strategy = \"cold-copy\"", "name = \"a/b\"\nstrategy = \"cold-copy\""),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn versions_are_trials_of_their_own() {
        let variant = "strategy = \"litestream\"\n        versions = [\"0.3.13\", \"0.5.17\"]";
        let text = SMALL.replace("strategy = \"cold-copy\"", variant);
        let overrides = Overrides { only: vec!["litestream".into()], ..Overrides::default() };
        let planned = plan(&text, &overrides).unwrap();
        let settings = planned
            .trials
            .iter()
            .map(|trial| (trial.variant.as_str(), &trial.strategy.settings()["version"]));
        let settings: Vec<_> = settings.take(2).collect();
        assert_eq!(settings, [("version=0.3.13", &"0.3.13".into()), ("version=0.5.17", &"0.5.17".into())]);
        let both = text.replace("versions", "settings = { version = \"0.5.5\" }\n        versions");
        let of_another =
            SMALL.replace("strategy = \"cold-copy\"", "strategy = \"cold-copy\"\n        versions = [\"1\"]");
        let none = text.replace("[\"0.3.13\", \"0.5.17\"]", "[]");
        let messages = [both, of_another, none].map(|text| match plan(&text, &overrides) {
            Err(Error::Input(message)) => message,
            _ => panic!("the scenario was accepted"),
        });
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn too_little_disk_is_refused_with_what_is_needed() {
        let overrides = Overrides { size: Some(ByteSize::tib(1)), ..Overrides::default() };
        let plan = plan(SMALL, &overrides);
        let Err(Error::Environment(message)) = plan.unwrap().check_disk(Path::new("/"), 0) else {
            panic!("this test assumes a disk with less free space")
        };
        let (before, after) = message.split_once(", and ").unwrap();
        insta::assert_snapshot!(before);
        assert!(after.contains("are free; free some space"));
    }
}
