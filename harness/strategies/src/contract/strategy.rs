//! What every strategy is and does.

use engines::engine::Engine;
use engines::images::ImageKind;
use machine::tool::Tool;
use machine::worker::JobEntry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::abilities::Abilities;
use super::context::{BackupContext, RestoreContext};
use super::outcome::{BackupResult, RestoreResult};
use super::promise::Promise;

/// The settings of a strategy by name, as scenarios and records have them.
pub type Settings = serde_json::Map<String, Value>;

/// A way to back up and restore. Its settings are the fields of the type that implements it.
pub trait Strategy: Send + Sync {
    /// What it promises with these settings.
    fn promise(&self) -> Promise;

    /// What it can do with these settings that most strategies cannot.
    fn abilities(&self) -> Abilities<'_> {
        Abilities::default()
    }

    /// Backs up the live database into `context.destination`.
    ///
    /// # Errors
    /// Why it ended without an artifact.
    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult;

    /// Builds the data of `context.subject` from the artifact alone: a file or a data directory, or by loading it into
    /// a fresh server.
    ///
    /// # Errors
    /// Why it ended without restored data.
    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult;
}

/// What a strategy's file declares in addition. Without settings, a scenario gets the defaults of the type.
pub trait Definition: Strategy + Serialize + DeserializeOwned + 'static {
    /// Its description.
    const CARD: Card;

    /// What it does in worker processes with the harness's own code, without an external tool.
    const JOBS: &'static [JobEntry] = &[];

    /// Checks the values of the settings.
    ///
    /// # Errors
    /// The impossible value.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a strategy is and needs, whatever its settings.
pub struct Card {
    /// Name in scenarios, flags and records.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Which family it belongs to.
    pub family: Family,
    /// The engines that it supports, in alphabetical order.
    pub on: &'static [OnEngine],
    /// Each setting with its meaning. The names are those of the type's fields.
    pub settings: &'static [(&'static str, &'static str)],
    /// What it costs, for planning.
    pub cost: Cost,
}

/// What a strategy needs on an engine that it supports.
pub struct OnEngine {
    /// The engine's name.
    pub engine: &'static str,
    /// Commands that must be on PATH.
    pub tools: &'static [Tool],
    /// The image of its containers; `None` when it runs none.
    pub image: Option<&'static ImageKind>,
}

impl Card {
    /// The names of the engines that it supports.
    pub fn engines(&self) -> Vec<&'static str> {
        self.on.iter().map(|on| on.engine).collect()
    }

    /// True when it supports this engine.
    pub fn supports(&self, engine: &dyn Engine) -> bool {
        self.on_engine(engine).is_some()
    }

    /// Commands that must be on PATH on this engine.
    pub fn tools(&self, engine: &dyn Engine) -> &'static [Tool] {
        self.on_engine(engine).map_or(&[], |on| on.tools)
    }

    /// The image of its containers on this engine; `None` when it runs none.
    pub fn image(&self, engine: &dyn Engine) -> Option<&'static ImageKind> {
        self.on_engine(engine)?.image
    }

    fn on_engine(&self, engine: &dyn Engine) -> Option<&'static OnEngine> {
        self.on.iter().find(|on| on.engine == engine.name())
    }

    /// The commands that it needs on any engine, each once.
    pub fn all_tools(&self) -> Vec<&'static Tool> {
        let mut all: Vec<&'static Tool> = Vec::new();
        for tool in self.on.iter().flat_map(|on| on.tools) {
            if all.iter().all(|known| known.command != tool.command) {
                all.push(tool);
            }
        }
        all
    }

    /// True when it has a setting with this name.
    pub fn has_setting(&self, name: &str) -> bool {
        self.settings.iter().any(|(known, _)| *known == name)
    }
}

/// Families of strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Copies pages while the application keeps writing.
    Online,
    /// Stops the application.
    Cold,
    /// Writes SQL statements instead of pages.
    Logical,
    /// Uses a snapshot of the file system, or reflinks.
    Snapshot,
    /// Replicates every change as it is made.
    Continuous,
    /// Commands that the user supplies.
    External,
    /// Negative control: unsafe on purpose, promises nothing.
    Control,
}

impl Family {
    /// The name in listings and records.
    pub fn name(self) -> &'static str {
        match self {
            Family::Online => "online",
            Family::Cold => "cold",
            Family::Logical => "logical",
            Family::Snapshot => "snapshot",
            Family::Continuous => "continuous",
            Family::External => "external",
            Family::Control => "control",
        }
    }
}

/// A rough estimate of time and space. Used only for planning.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Time of the backup, as a multiple of the time of a plain copy.
    pub backup: f64,
    /// Time of the restore, in the same way.
    pub restore: f64,
    /// Maximum size of the artifact and of any other files that it keeps, as a multiple of the database size.
    pub artifact: f64,
}
