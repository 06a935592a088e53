//! The directories of a trial, and a subject in one of them: the live one, the restored one, and once more the lost one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use engines::application::{Application, Target, Task};
use engines::images::Image;
use engines::kinds::{App, Engine};
use engines::mysql::server::{Server, ServerSetup};
use engines::sqlite::client::SqliteTarget;
use engines::subject::{Backend, Subject, Tracker, TrackerDatabase, TrackerSetup};
use machine::container::{Network, OwnNetwork};
use machine::error::Result;
use machine::file_system::{FileSystem, Mounted};
use machine::measure::{extents, storage};
use machine::process::Account;
use rusqlite::Connection;

use super::Drill;
use crate::plan::Deployment;

/// The directory of the trial where its own file system is mounted.
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

/// Sets the journal mode of a SQLite file that a tracker is going to use: it takes what it finds.
pub fn set_journal_mode(deployment: Deployment, file: &Path) -> Result<()> {
    if let (App::Tracker, Some(mode)) = (deployment.app, deployment.journal_mode) {
        let connection = Connection::open(file).context("cannot open the database")?;
        connection.pragma_update(None, "journal_mode", mode.name()).context("cannot set the journal mode")?;
    }
    Ok(())
}

/// Lets SQLite finish what a SIGKILL cut short: the first who opens the file rolls its journal back, or its log
/// forward.
pub fn recover(file: &Path) -> Result<()> {
    let connection = Connection::open(file).context("cannot open what the disaster left")?;
    let count = "SELECT count(*) FROM sqlite_schema";
    let _: i64 = connection.query_row(count, [], |row| row.get(0)).context("cannot read what it left")?;
    connection.pragma_update(None, "journal_mode", "delete").context("cannot fold its log back")?;
    Ok(())
}

fn present(image: &Option<Image>) -> &Image {
    image.as_ref().expect("a run gets the images of its subjects first")
}

impl Drill<'_> {
    /// The file system that the trial asks for, or the directory of the trial on the disk's own.
    pub(super) fn disk(&self) -> PathBuf {
        match self.plan.deployment.file_system {
            FileSystem::Disk => self.site.directory.to_owned(),
            _ => self.site.directory.join(DISK),
        }
    }

    /// Where the data lies, and what becomes of it.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.disk().join(name)
    }

    /// Where the ledger lies: always on the disk, so that it stands still for no file system that is on trial.
    pub(super) fn ledger(&self) -> PathBuf {
        self.site.directory.join("ledger")
    }

    /// Makes the directories of the trial, on this file system. The one for live data.
    pub(super) fn make_directories(&mut self, file_system: FileSystem) -> Result<PathBuf> {
        if file_system != FileSystem::Disk {
            let bytes = self.plan.disk_bytes();
            self.file_system = Some(Mounted::make(file_system, &self.launcher, DISK, bytes)?);
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

    /// Breaks the live database up, as the scenario asks.
    pub(super) fn break_up(&self, data: &Path) -> Result<()> {
        let Some(extents) = self.scenario.subject.extents else { return Ok(()) };
        let largest = storage::files(data).into_iter().max_by_key(|file| storage::bytes(file));
        largest.map_or(Ok(()), |file| extents::break_up(&self.launcher, &file, extents))
    }

    /// A subject whose data is in the directory `name`, and which does not run yet.
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
                    // Somebody may want to look at the live one; the others come and go beside each other.
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
