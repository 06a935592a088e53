//! The directories of a trial, and the subject in one of them: live, restored, or lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use engines::application::{Application, Target, Task};
use engines::error::attributed;
use engines::images::Image;
use engines::kinds::{App, Engine};
use engines::mysql::server::{Server, ServerSetup};
use engines::sqlite::client::SqliteTarget;
use engines::subject::{Backend, Subject, Tracker, TrackerDatabase, TrackerSetup};
use machine::container::{Network, OwnNetwork};
use machine::error::Result;
use machine::file_system::{FileSystem, TemporaryFileSystem};
use machine::measure::{extents, storage};
use machine::process::Account;
use rusqlite::Connection;

use super::Drill;
use crate::plan::Deployment;

/// The directory of the trial in which its own file system is mounted.
const DISK: &str = "disk";
/// Names of the containers on the network that they share.
const SERVER_ALIAS: &str = "mysql";
const TRACKER_ALIAS: &str = "tracker";

/// Where an engine's data is in a directory of the trial: a file, or a data directory.
pub fn data(engine: Engine, place: &Path) -> PathBuf {
    match engine {
        Engine::Sqlite => place.join("database.sqlite"),
        Engine::Mysql => place.join("mysql"),
    }
}

/// Sets the journal mode of a SQLite file for a tracker, which does not change the mode of its database.
pub fn set_journal_mode(deployment: Deployment, file: &Path) -> Result<()> {
    if let (App::Tracker, Some(mode)) = (deployment.app, deployment.journal_mode) {
        let set = || -> anyhow::Result<()> {
            let connection = Connection::open(file).context("cannot open the database")?;
            connection.pragma_update(None, "journal_mode", mode.name()).context("cannot set the journal mode")
        };
        set().map_err(attributed)?;
    }
    Ok(())
}

/// Lets SQLite recover a file after a SIGKILL: opening it rolls back the journal, or recovers the write-ahead log.
pub fn recover(file: &Path) -> Result<()> {
    let recover = || -> anyhow::Result<()> {
        let connection = Connection::open(file).context("cannot open the database that the disaster left")?;
        let count = "SELECT count(*) FROM sqlite_schema";
        let _: i64 = connection
            .query_row(count, [], |row| row.get(0))
            .context("cannot read the database that the disaster left")?;
        connection
            .pragma_update(None, "journal_mode", "delete")
            .context("cannot checkpoint its write-ahead log")
    };
    Ok(recover().map_err(attributed)?)
}

fn present(image: &Option<Image>) -> &Image {
    image.as_ref().expect("a run obtains the images of its subjects first")
}

impl Drill<'_> {
    /// The root of the trial's own file system, or else the directory of the trial.
    pub(super) fn disk(&self) -> PathBuf {
        match self.plan.deployment.file_system {
            FileSystem::Disk => self.site.directory.to_owned(),
            _ => self.site.directory.join(DISK),
        }
    }

    /// A directory for the data of the trial, on the file system under test.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.disk().join(name)
    }

    /// The directory of the ledger: always on the disk, so that a file system under test that blocks does not block the
    /// ledger.
    pub(super) fn ledger(&self) -> PathBuf {
        self.site.directory.join("ledger")
    }

    /// Makes the directories of the trial on this file system. Returns the directory of the live data.
    pub(super) fn make_directories(&mut self, file_system: FileSystem) -> Result<PathBuf> {
        if file_system != FileSystem::Disk {
            let bytes = self.plan.disk_bytes();
            self.file_system = Some(TemporaryFileSystem::make(file_system, &self.launcher, DISK, bytes)?);
        }
        let plain = ["artifact", "restored", "scratch"].map(|name| self.place(name));
        for directory in plain.iter().chain([&self.ledger()]) {
            std::fs::create_dir(directory)
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
        let place = self.place(name);
        let run_directory = self.site.directory.join(format!("run-{name}"));
        let deployment = self.plan.deployment;
        let network = match (deployment.engine, deployment.app) {
            (Engine::Mysql, App::Tracker) => {
                Network::Joined(Arc::new(OwnNetwork::create(&self.launcher)?), SERVER_ALIAS.into())
            }
            _ => Network::Bridge,
        };
        let data = data(deployment.engine, &place);
        let database = match deployment.engine {
            Engine::Sqlite => Backend::File(data),
            Engine::Mysql => {
                let setup = ServerSetup {
                    image: present(&self.site.images.mysql).reference.clone(),
                    data_directory: data,
                    run_directory: run_directory.clone(),
                    artifact: self.place("artifact"),
                    arguments: self.scenario.subject.server_arguments(),
                    password: self.password.clone(),
                    // The user may want to connect to the live server; the others may run at the same time.
                    port: self.scenario.subject.port.filter(|_| name == "live"),
                    network: network.clone(),
                    account: Account::Subject,
                };
                Backend::Server(Box::new(Server::new(&self.launcher, setup)?))
            }
        };
        let tracker = match deployment.app {
            App::Embedded => None,
            App::Tracker => Some(self.tracker(&database, run_directory, network)?),
        };
        let application = self.application(&database, tracker.as_ref());
        Ok(Subject::new(&self.launcher, database, tracker, application))
    }

    fn tracker(&self, database: &Backend, run_directory: PathBuf, network: Network) -> Result<Tracker> {
        let setup = TrackerSetup {
            image: present(&self.site.images.tracker).reference.clone(),
            run_directory,
            database: match (database, &network) {
                (Backend::Server(server), Network::Joined(network, alias)) => {
                    TrackerDatabase::Mysql(server.address().clone(), network.host_name(alias))
                }
                (Backend::Server(_), _) => unreachable!("a tracker and its server share a network"),
                (Backend::File(file), _) => TrackerDatabase::Sqlite(file.clone()),
            },
            announces: self.scenario.subject.announces,
            network: match network {
                Network::Joined(network, _) => Network::Joined(network, TRACKER_ALIAS.into()),
                other => other,
            },
        };
        Tracker::new(&self.launcher, setup)
    }

    fn application(&self, database: &Backend, tracker: Option<&Tracker>) -> Application {
        let subject = &self.scenario.subject;
        let target = match (tracker, database) {
            (Some(tracker), _) => Target::Tracker(tracker.target().clone()),
            (None, Backend::Server(server)) => Target::Mysql(server.address().clone()),
            (None, Backend::File(file)) => Target::Sqlite(SqliteTarget {
                database: file.clone(),
                journal_mode: self.plan.deployment.journal_mode.expect("SQLite has a journal mode"),
                synchronous: subject.synchronous,
                busy_timeout_ms: subject.busy_timeout_ms,
                wal_autocheckpoint: subject.wal_autocheckpoint,
            }),
        };
        Application {
            target,
            dataset: self.plan.dataset.clone(),
            model: self.plan.model.clone(),
            task: Task::Serve,
        }
    }
}
