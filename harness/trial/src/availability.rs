//! Whether this machine has what a trial needs. A trial gets it, and a [`Forecast`] looks for it, for plans, for `doctor`
//! and for the tests of this repository; both ask the same questions in the same order, those of [`supply`], so that
//! what was forecast is what comes.

mod forecast;

use std::path::{Path, PathBuf};

use engines::images::Kind;
use engines::kinds::{App, Engine};
use machine::error::{Error, Result};
use machine::file_system::FileSystem;
use strategies::registry;
use strategies::strategy::{Settings, Strategy};

use crate::plan::TrialPlan;
use crate::scenario::{ImagesSection, Scenario};
pub use forecast::{Forecast, Outlook};

/// What a trial needs things for.
pub struct Needs<'a> {
    /// Its strategy.
    pub strategy: &'a dyn Strategy,
    /// Complete settings.
    pub settings: &'a Settings,
    /// The engine.
    pub engine: Engine,
    /// The application.
    pub app: App,
    /// Where the data lies.
    pub file_system: FileSystem,
    /// True when the database is the user's own.
    pub own_database: bool,
    /// The directory that paths in the settings count from.
    pub directory: &'a Path,
    /// Images that the scenario names.
    pub images: ImagesSection,
}

impl<'a> Needs<'a> {
    /// Those of a planned trial.
    pub fn of_trial(trial: &'a TrialPlan, scenario: &'a Scenario) -> Needs<'a> {
        Needs {
            strategy: registry::named(trial.strategy).expect("a planned strategy is known"),
            settings: &trial.settings,
            engine: trial.deployment.engine,
            app: trial.deployment.app,
            file_system: trial.deployment.file_system,
            own_database: scenario.database.is_some(),
            directory: &scenario.directory,
            images: scenario.subject.images.clone(),
        }
    }

    /// Those of a strategy, on its own: with the embedded application on a generated database.
    pub fn of_strategy(
        strategy: &'a dyn Strategy,
        settings: &'a Settings,
        engine: Engine,
        file_system: FileSystem,
    ) -> Needs<'a> {
        let (app, images) = (App::Embedded, ImagesSection::default());
        let directory = Path::new(".");
        Needs { strategy, settings, engine, app, file_system, own_database: false, directory, images }
    }

    /// What the system under test is made from, with the reference that the scenario names. A run without it does not
    /// begin.
    pub fn subject_images(&self) -> Vec<(Kind, Option<&str>)> {
        let server = (self.engine == Engine::Mysql).then_some((Kind::Mysql, self.images.mysql.as_deref()));
        let tracker = (self.app == App::Tracker).then_some((Kind::Tracker, self.images.tracker.as_deref()));
        server.into_iter().chain(tracker).collect()
    }
}

/// Where what a trial needs comes from. What is not here is an [`Error::Environment`].
pub(crate) trait Supplier {
    /// An image, or the one that the scenario names.
    fn image(&mut self, kind: Kind, named: Option<&str>) -> Result<()>;

    /// The program that the settings name, where they name one.
    fn program(&mut self, needs: &Needs<'_>) -> Result<()>;

    /// An empty directory for live data, on this file system.
    fn live_directory(&mut self, file_system: FileSystem) -> Result<PathBuf>;
}

/// Asks for everything that a trial needs, the cheapest first.
///
/// # Errors
/// [`Error::Environment`] with the first thing that this machine lacks, and how to get it: a trial is `unavailable`
/// then. Others are no matter of the machine.
pub(crate) fn supply(needs: &Needs<'_>, supplier: &mut dyn Supplier) -> Result<()> {
    let Needs { strategy, settings, engine, .. } = *needs;
    if let Some(missing) = strategy.missing(settings, engine) {
        return Err(Error::Environment(missing));
    }
    if strategy.leaves_out_never_completed() && needs.own_database {
        let reason = "it knows the tracker's tables alone, and a database of your own has others";
        return Err(Error::Environment(reason.into()));
    }
    let of_strategy = strategy.image(engine).map(|kind| (kind, None));
    for (kind, named) in needs.subject_images().into_iter().chain(of_strategy) {
        supplier.image(kind, named).map_err(|error| match error {
            Error::Environment(cause) => {
                Error::Environment(format!("the {} image is not here: {cause}", kind.name()))
            }
            other => other,
        })?;
    }
    supplier.program(needs)?;
    let live = supplier.live_directory(needs.file_system)?;
    match strategy.obstacle(engine, &live, settings) {
        Some(obstacle) => Err(Error::Environment(obstacle)),
        None => Ok(()),
    }
}
