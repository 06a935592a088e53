//! What a trial needs, and the order in which it is supplied.

use std::path::{Path, PathBuf};

use engines::applications::App;
use engines::engine::Engine;
use engines::images::ImageKind;
use engines::subject_section::ImagesSection;
use machine::error::{Error, Result};
use machine::file_system::FileSystem;
use strategies::contract::ConfiguredStrategy;

use crate::plan::TrialPlan;
use crate::scenario::Scenario;

/// The properties of a trial that decide what it needs.
pub struct Needs<'a> {
    /// Its strategy.
    pub strategy: &'a ConfiguredStrategy,
    /// The engine.
    pub engine: &'static dyn Engine,
    /// The application.
    pub app: App,
    /// The file system of the data.
    pub file_system: FileSystem,
    /// What is missing for the fault and the stages of the trial, or for the limits of its strategy.
    pub missing: Option<String>,
    /// The separate file system of the artifacts, if the fault of the trial needs one.
    pub destination: Option<FileSystem>,
    /// True when the database is the user's own.
    pub own_database: bool,
    /// The directory to which paths in the settings are relative.
    pub directory: &'a Path,
    /// Images that the scenario names.
    pub images: ImagesSection,
}

impl<'a> Needs<'a> {
    /// The needs of a planned trial.
    pub fn of_trial(trial: &'a TrialPlan, scenario: &'a Scenario) -> Needs<'a> {
        Needs {
            strategy: &trial.strategy,
            engine: trial.deployment.engine,
            app: trial.deployment.app,
            file_system: trial.deployment.file_system,
            missing: trial
                .fault
                .as_ref()
                .and_then(|fault| fault.missing())
                .or_else(|| trial.stages.as_ref()?.missing())
                .or_else(|| scenario.trial.limits().missing()),
            destination: trial.destination().map(|(kind, _)| kind),
            own_database: scenario.database.is_some(),
            directory: &scenario.directory,
            images: scenario.subject.images.clone(),
        }
    }

    /// The needs of a strategy alone: with the embedded application on a generated database.
    pub fn of_strategy(
        strategy: &'a ConfiguredStrategy,
        engine: &'static dyn Engine,
        file_system: FileSystem,
    ) -> Needs<'a> {
        let (app, images) = (App::Embedded, ImagesSection::default());
        let directory = Path::new(".");
        Needs {
            strategy,
            engine,
            app,
            file_system,
            missing: None,
            destination: None,
            own_database: false,
            directory,
            images,
        }
    }

    /// The images of the system under test, with the references that the scenario names. A run does not begin without
    /// them.
    pub fn subject_images(&self) -> Vec<(&'static ImageKind, Option<&str>)> {
        let kinds = self.engine.image().into_iter().chain(self.app.image());
        kinds.map(|kind| (kind, self.images.named(kind))).collect()
    }
}

/// Supplies what a trial needs. Anything missing is an [`Error::Environment`].
pub(crate) trait Supplier {
    /// What is missing for the strategy itself.
    fn missing(&mut self, needs: &Needs<'_>) -> Option<String> {
        needs.strategy.missing(needs.engine, needs.directory)
    }

    /// An image of this kind, or the one that the scenario names.
    fn image(&mut self, kind: &'static ImageKind, named: Option<&str>) -> Result<()>;

    /// The program that the settings name, if any.
    fn program(&mut self, needs: &Needs<'_>) -> Result<()>;

    /// A separate file system for the artifacts.
    fn destination(&mut self, file_system: FileSystem) -> Result<()>;

    /// An empty directory for live data, on this file system.
    fn live_directory(&mut self, file_system: FileSystem) -> Result<PathBuf>;
}

/// Requests everything that a trial needs, the cheapest first.
///
/// # Errors
/// [`Error::Environment`] with the first thing that is missing, and how to get it: the trial is then `unavailable`.
/// Other errors do not concern the machine.
pub(crate) fn supply(needs: &Needs<'_>, supplier: &mut dyn Supplier) -> Result<()> {
    let Needs { strategy, engine, .. } = *needs;
    if let Some(missing) = supplier.missing(needs).or_else(|| needs.missing.clone()) {
        return Err(Error::Environment(missing));
    }
    if strategy.abilities().leaves_out_never_completed && needs.own_database {
        let reason = "it supports only the tracker's tables, not those of your own database";
        return Err(Error::Environment(reason.into()));
    }
    // Tools that must be of the server's version run in its image.
    let of_strategy = strategy.card().image(engine).filter(|kind| engine.image() != Some(*kind));
    for (kind, named) in needs.subject_images().into_iter().chain(of_strategy.map(|kind| (kind, None))) {
        supplier.image(kind, named).map_err(|error| match error {
            Error::Environment(cause) => {
                Error::Environment(format!("the {} image is not available: {cause}", kind.name))
            }
            other => other,
        })?;
    }
    supplier.program(needs)?;
    needs.destination.map_or(Ok(()), |kind| supplier.destination(kind))?;
    let live = supplier.live_directory(needs.file_system)?;
    match strategy.obstacle(engine, &live) {
        Some(obstacle) => Err(Error::Environment(obstacle)),
        None => Ok(()),
    }
}
