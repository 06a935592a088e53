//! The directories of a trial, and the subject in one of them: live, restored, or lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use engines::applications::App;
use engines::applications::tracker::image::TRACKER;
use engines::applications::tracker::service::{Tracker, TrackerSetup};
use engines::database::Database;
use engines::engine::{Provision, START_TIMEOUT};
use engines::instance::Instance;
use engines::subject::Subject;
use machine::container::{Network, OwnNetwork};
use machine::error::Result;
use machine::file_system::{FileSystem, TemporaryFileSystem};
use machine::measure::{extents, storage};
use machine::process::Account;

use super::context::TrialContext;
use crate::plan::Deployment;

/// A healthy server on a slow machine starts within this time.
const HEALTHY_START: Duration = Duration::from_secs(60);
/// The directory of the trial in which its own file system is mounted.
const DISK: &str = "disk";

impl TrialContext<'_> {
    /// The root of the trial's own file system, or else the directory of the trial.
    pub(super) fn disk(&self) -> PathBuf {
        match self.plan.deployment.file_system {
            FileSystem::Disk => self.environment.directory.to_owned(),
            _ => self.environment.directory.join(DISK),
        }
    }

    /// A directory for the data of the trial, on the file system under test.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.disk().join(name)
    }

    /// The directory that contains the artifacts.
    pub(super) fn destination(&self) -> PathBuf {
        self.destination.as_ref().map_or_else(|| self.disk(), |separate| separate.point().to_owned())
    }

    /// The directory of the artifact.
    pub(super) fn artifact(&self) -> PathBuf {
        self.destination().join("artifact")
    }

    /// The directory of the ledger: always on the disk, so that a file system under test that blocks does not block the
    /// ledger.
    pub(super) fn ledger(&self) -> PathBuf {
        self.environment.directory.join("ledger")
    }

    /// Makes a separate file system for the artifacts.
    pub(super) fn make_destination(&mut self, kind: FileSystem) -> Result<()> {
        let bytes = self.plan.destination().map_or(0, |(_, bytes)| bytes);
        self.destination = Some(TemporaryFileSystem::make(kind, &self.launcher, "destination", bytes)?);
        Ok(())
    }

    /// Makes the directories of the trial on this file system. Returns the directory of the live data.
    pub(super) fn make_directories(&mut self, file_system: FileSystem) -> Result<PathBuf> {
        if file_system != FileSystem::Disk {
            let bytes = self.plan.disk_bytes();
            self.file_system = Some(TemporaryFileSystem::make(file_system, &self.launcher, DISK, bytes)?);
        }
        for directory in [self.artifact(), self.place("restored"), self.place("scratch"), self.ledger()] {
            std::fs::create_dir(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        let live = self.place("live");
        file_system.create_directory(&self.launcher, &live)?;
        Ok(live)
    }

    /// Fragments the live database, if the scenario asks for it.
    pub(super) fn break_up(&self, data: &Path) -> Result<()> {
        let Some(extents) = self.scenario.subject.extents else { return Ok(()) };
        let largest = storage::files(data).into_iter().max_by_key(|file| storage::bytes(file));
        largest.map_or(Ok(()), |file| extents::fragment(&self.launcher, &file, extents))
    }

    /// A subject that is not started yet, with its data in the directory `name`.
    pub(super) fn stage(&self, name: &str) -> Result<Subject> {
        let Deployment { engine, app, .. } = self.plan.deployment;
        let network = match (engine.image(), app) {
            (Some(_), App::Tracker) => {
                Network::Joined(Arc::new(OwnNetwork::create(&self.launcher)?), engine.name().into())
            }
            _ => Network::Bridge,
        };
        let database = engine.provision(self.provided(name, network.clone()))?;
        let tracker = match app {
            App::Embedded => None,
            App::Tracker => Some(self.tracker(&*database, self.run_directory(name), network)?),
        };
        Ok(self.subject(database, tracker))
    }

    /// Another handle of the live subject, whose database is running, for another backup of it.
    pub(super) fn attach(&self, live: &Database) -> Result<Subject> {
        let database = live.engine.attach(self.provided("live", Network::Bridge), &*live.access)?;
        Ok(self.subject(database, None))
    }

    fn subject(&self, database: Box<dyn Instance>, tracker: Option<Tracker>) -> Subject {
        let (dataset, model) = (self.plan.dataset.clone(), self.plan.model.clone());
        Subject::new(&self.launcher, self.plan.deployment.engine, database, tracker, dataset, model)
    }

    fn run_directory(&self, name: &str) -> PathBuf {
        self.environment.directory.join(format!("run-{name}"))
    }

    fn provided(&self, name: &str, network: Network) -> Provision<'_> {
        let Deployment { engine, mode, .. } = self.plan.deployment;
        Provision {
            launcher: &self.launcher,
            settings: &self.scenario.subject.settings,
            mode,
            image: self.environment.images.of(engine),
            data: engine.data(&self.place(name)),
            run_directory: self.run_directory(name),
            artifact: self.artifact(),
            password: self.password.clone(),
            is_live: name == "live",
            network,
            account: Account::Subject,
            start_timeout: if name == "live" { START_TIMEOUT } else { self.start_timeout_of_a_restore() },
        }
    }

    /// A server may hang on damaged data, so it is not waited for longer than for a restore; but a short deadline leaves
    /// it the time that a healthy one may need.
    fn start_timeout_of_a_restore(&self) -> Duration {
        Duration::from_secs_f64(self.scenario.trial.deadline_seconds).clamp(HEALTHY_START, START_TIMEOUT)
    }

    fn tracker(&self, database: &dyn Instance, run_directory: PathBuf, network: Network) -> Result<Tracker> {
        let image = self.environment.images.subjects.get(&TRACKER);
        let setup = TrackerSetup {
            image: image.expect("a run obtains the images of its subjects first").reference.clone(),
            run_directory,
            database: database.for_tracker(),
            announces: self.scenario.subject.announces,
            network: match network {
                Network::Joined(network, _) => Network::Joined(network, App::Tracker.name().into()),
                other => other,
            },
        };
        Tracker::new(&self.launcher, setup)
    }
}
