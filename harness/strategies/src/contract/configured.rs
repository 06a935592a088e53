//! A strategy with settings, which are parsed once.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use engines::engine::Engine;
use machine::measure::storage;
use machine::tool::Tool;
use machine::worker::JobEntry;
use serde_json::Value;

use super::promise::{Kept, Moments};
use super::strategy::{Card, Definition, Settings, Strategy};

/// A strategy of the registry. Its file submits it to the list of all strategies.
pub struct StrategyEntry {
    card: Card,
    jobs: &'static [JobEntry],
    configure: fn(&'static StrategyEntry, &Settings) -> Result<ConfiguredStrategy, String>,
}

inventory::collect!(StrategyEntry);

impl StrategyEntry {
    /// The entry of a strategy.
    pub const fn of<S: Definition>() -> StrategyEntry {
        StrategyEntry { card: S::CARD, jobs: S::JOBS, configure: configure::<S> }
    }

    /// Its description.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What it does in worker processes.
    pub fn jobs(&self) -> &'static [JobEntry] {
        self.jobs
    }

    /// The strategy with given settings; the others have their defaults.
    ///
    /// # Errors
    /// What is wrong with the settings: an unknown name, a wrong type, an impossible value.
    pub fn configure(&'static self, given: &Settings) -> Result<ConfiguredStrategy, String> {
        (self.configure)(self, given)
    }

    /// The strategy with the defaults of all settings.
    pub fn with_defaults(&'static self) -> ConfiguredStrategy {
        self.configure(&Settings::new()).expect("the defaults are valid")
    }
}

/// The strategy with these settings, which are valid.
pub(crate) fn parse<S: Definition>(given: &Settings) -> Result<S, String> {
    let strategy: S =
        serde_json::from_value(Value::Object(given.clone())).map_err(|error| error.to_string())?;
    strategy.validate()?;
    Ok(strategy)
}

fn configure<S: Definition>(
    entry: &'static StrategyEntry,
    given: &Settings,
) -> Result<ConfiguredStrategy, String> {
    let strategy: S = parse(given)?;
    let Ok(Value::Object(settings)) = serde_json::to_value(&strategy) else {
        unreachable!("settings are structs of plain values")
    };
    Ok(ConfiguredStrategy { entry, settings, strategy: Arc::new(strategy) })
}

/// A strategy with valid settings, as a plan holds it.
#[derive(Clone)]
pub struct ConfiguredStrategy {
    entry: &'static StrategyEntry,
    settings: Settings,
    strategy: Arc<dyn Strategy>,
}

impl Deref for ConfiguredStrategy {
    type Target = dyn Strategy;

    fn deref(&self) -> &Self::Target {
        &*self.strategy
    }
}

impl fmt::Debug for ConfiguredStrategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.name(), self.settings)
    }
}

impl ConfiguredStrategy {
    /// Its description.
    pub fn card(&self) -> &'static Card {
        &self.entry.card
    }

    /// Its name in the registry.
    pub fn name(&self) -> &'static str {
        self.entry.card.name
    }

    /// All settings, with defaults filled in.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Checks that what its settings name exists, before the run changes anything. Relative paths are relative to
    /// `directory`, the scenario's directory.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, directory: &Path) -> Result<(), String> {
        self.abilities().user_commands.map_or(Ok(()), |commands| commands.check(directory))
    }

    /// What is missing on this machine to run it on this engine, and how to get it. Relative paths in the settings are
    /// relative to `directory`, the scenario's directory.
    pub fn missing(&self, engine: &dyn Engine, directory: &Path) -> Option<String> {
        let missing = self.card().tools(engine).iter().find_map(Tool::missing);
        let missing = missing.or_else(|| self.abilities().access.missing());
        missing.or_else(|| self.abilities().user_commands?.missing(directory))
    }

    /// Why it cannot run on data placed in this directory, and what to do about it. The data need not exist yet.
    pub fn obstacle(&self, engine: &dyn Engine, directory: &Path) -> Option<String> {
        self.abilities().placement?.obstacle(engine, directory)
    }

    /// Whether its backup can be on another disk than the live data in this directory, so that it survives the loss of
    /// that disk; `None` when this is unknown.
    pub fn survives_disk_loss(&self, engine: &dyn Engine, live: &Path) -> Option<bool> {
        let abilities = self.abilities();
        match abilities.placement {
            Some(placement) => placement.survives_disk_loss(engine, live),
            // A user's commands may link files instead of copying them.
            None => abilities.user_commands.is_none().then_some(true),
        }
    }

    /// Size of the part of the artifact's directory that a restore needs.
    pub fn artifact_bytes(&self, artifact: &Path) -> u64 {
        match self.abilities().retention {
            Some(retention) => retention.newest_bytes(artifact),
            None => storage::bytes(artifact),
        }
    }

    /// The writes that a restored database must and must not contain, in a trial with these moments.
    pub fn kept(&self, moments: &Moments) -> Kept {
        match self.abilities().point_in_time {
            Some(point_in_time) => point_in_time.kept(moments),
            None => self.promise().kept(moments),
        }
    }
}
