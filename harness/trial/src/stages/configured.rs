//! Stages with settings, which are parsed once.

use machine::error::Result;
use machine::tool::Tool;
use offsite::destination::{ConfiguredDestination, DestinationEntry};
use offsite::server::LineQuality;
use offsite::settings::Settings;
use offsite::transform::ConfiguredTransform;
use reports::record::StageSettings;

use super::provided::Server;

/// The stages of a trial, as a plan holds them.
#[derive(Clone, Debug)]
pub struct ConfiguredStages {
    /// The names of the stages, with the settings that the scenario gives.
    pub label: String,
    /// In the order in which they are applied.
    pub transforms: Vec<ConfiguredTransform>,
    /// Where the object goes.
    pub target: Target,
}

/// A destination whose place may only be known when the trial runs.
#[derive(Clone)]
pub struct Target {
    /// The destination in the registry.
    pub entry: &'static DestinationEntry,
    /// The settings that the scenario gives.
    pub given: Settings,
    /// The place that the harness provides; `None` for the user's own.
    pub server: Option<Server>,
    /// The line to this place, if it is behind a network.
    pub line: LineQuality,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.entry.name)
    }
}

impl Target {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`machine::error::Error::Input`] with what is wrong.
    pub(super) fn check(&self) -> Result<()> {
        self.at(&self.server.map(Server::example).unwrap_or_default()).map(|_| ())
    }

    /// The destination with the settings of a place that was provided.
    ///
    /// # Errors
    /// As [`Target::check`].
    pub fn at(&self, provided: &Settings) -> Result<ConfiguredDestination> {
        let mut settings = provided.clone();
        settings.extend(self.given.clone());
        self.entry.configure(&settings)
    }
}

impl ConfiguredStages {
    /// The settings of each stage, as records have them. The place of a server that the harness provides is not one of
    /// them: it is another one in each trial.
    pub fn settings(&self) -> Vec<StageSettings> {
        let of = |stage: &str, settings: &Settings| {
            let value = serde_json::to_value(settings).unwrap_or_default();
            let settings = value.as_object().cloned().unwrap_or_default();
            StageSettings { stage: stage.to_owned(), settings: settings.into_iter().collect() }
        };
        let transforms =
            self.transforms.iter().map(|transform| of(transform.entry().name, transform.settings()));
        transforms.chain([of(self.target.entry.name, &self.target.given)]).collect()
    }

    /// The commands that the destination needs.
    pub fn tools(&self) -> &'static [&'static Tool] {
        let example = self.target.server.map(Server::example).unwrap_or_default();
        self.target.at(&example).map_or(&[], |destination| destination.tools())
    }

    /// What is missing on this machine for them, and how to get it.
    pub fn missing(&self) -> Option<String> {
        let of_server = self.target.server.and_then(Server::missing);
        let of_client = || self.tools().iter().find_map(|tool| tool.missing());
        let of_keys = || self.transforms.iter().find_map(|transform| transform.check().err());
        of_server.or_else(of_client).or_else(|| of_keys().map(|error| error.to_string()))
    }
}
