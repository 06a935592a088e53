//! Systems under test: an application on a database engine, in one deployment.

mod tracker;
mod writer;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use machine::error::{Error, Result};
use machine::measure::clock::{Span, now_ns};
use machine::process::{Account, Launcher};

use crate::application::{Application, Task};
use crate::database::Database;
pub use crate::mysql::server::{ARTIFACT, RUN, Server, ServerSetup, random_password};
pub use tracker::{Tracker, TrackerDatabase, TrackerSetup};
pub use writer::Writer;

/// Where the database is.
pub enum Backend {
    /// A SQLite file.
    File(PathBuf),
    /// A MySQL server with its data directory.
    Server(Box<Server>),
}

/// An application on a database engine. Its processes and containers end when it is dropped.
pub struct Subject {
    database: Backend,
    tracker: Option<Tracker>,
    writer: Writer,
    stopped_ns: Option<u64>,
    outages: Vec<Span>,
}

impl Subject {
    /// A subject that is not running yet.
    pub fn new(
        launcher: &Launcher,
        database: Backend,
        tracker: Option<Tracker>,
        application: Application,
    ) -> Subject {
        // The clients that announce to a tracker are not part of the subject.
        let account = if tracker.is_some() { Account::Harness } else { Account::Subject };
        Subject {
            database,
            tracker,
            writer: Writer::new(launcher, account, application),
            stopped_ns: None,
            outages: Vec::new(),
        }
    }

    /// Starts the database server and the tracker, if there are any and they are not running, but not the writer.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_services(&mut self) -> Result<()> {
        if let Backend::Server(server) = &mut self.database {
            server.start()?;
        }
        self.tracker.as_mut().map_or(Ok(()), Tracker::start)
    }

    /// Starts the workload described by `task`, and waits until a read has been answered.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn begin(&mut self, task: Task) -> Result<()> {
        self.writer.start(task)
    }

    /// Starts everything that [`Subject::stop`] stopped, and waits until it responds again.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&mut self) -> Result<()> {
        self.start_services()?;
        if !self.writer.is_running() {
            self.writer.start_again()?;
        }
        self.end_outage();
        Ok(())
    }

    fn end_outage(&mut self) {
        if let Some(from_ns) = self.stopped_ns.take() {
            self.outages.push(Span { from_ns, to_ns: now_ns() });
        }
    }

    /// Stops application and database cleanly, as before maintenance. Clients of a server keep retrying.
    ///
    /// # Errors
    /// When one does not stop, or ends with an error.
    pub fn stop(&mut self) -> Result<()> {
        self.stopped_ns = Some(now_ns());
        match (&mut self.tracker, &mut self.database) {
            (None, Backend::File(_)) => self.writer.stop(),
            (tracker, database) => {
                if let Some(tracker) = tracker {
                    tracker.stop()?;
                }
                match database {
                    Backend::File(_) => Ok(()),
                    Backend::Server(server) => server.stop(),
                }
            }
        }
    }

    /// Stops the application cleanly, and leaves a database server running. The peers of a tracker keep retrying.
    ///
    /// # Errors
    /// When it does not stop, or ends with an error.
    pub fn stop_application(&mut self) -> Result<()> {
        self.stopped_ns = Some(now_ns());
        match &mut self.tracker {
            Some(tracker) => tracker.stop(),
            None => self.writer.stop(),
        }
    }

    /// Reads the resources that its containers have used, shortly before their end: afterwards they cannot be read any
    /// more.
    pub fn note(&mut self) {
        if let Some(tracker) = &mut self.tracker {
            tracker.note();
        }
        if let Backend::Server(server) = &mut self.database {
            server.note();
        }
    }

    /// Kills everything with SIGKILL, one after the other.
    pub fn kill(&mut self) {
        self.end_outage();
        self.writer.kill();
        if let Some(tracker) = &mut self.tracker {
            tracker.kill();
        }
        if let Backend::Server(server) = &mut self.database {
            server.kill();
        }
    }

    /// True while all of it runs.
    pub fn is_running(&self) -> bool {
        self.writer.is_running() && self.ended_service().is_none()
    }

    /// How a part of it ended, if one exited unexpectedly.
    pub fn ended(&self) -> Option<String> {
        self.ended_service().or_else(|| self.writer.ended())
    }

    /// How a service ended, with its last output, if one exited unexpectedly.
    pub fn ended_service(&self) -> Option<String> {
        let tracker = self.tracker.as_ref().and_then(Tracker::ended);
        tracker.or_else(|| self.server().and_then(Server::ended))
    }

    /// Starts it on a restored database without workload, and waits until it has answered one read and one write.
    ///
    /// # Errors
    /// When it does not.
    pub fn serve(&mut self) -> Result<()> {
        self.start_services()?;
        self.writer.start(Task::Serve)
    }

    /// Stops all writes for the verifier, and leaves a closed file or a running server.
    ///
    /// # Errors
    /// When the application does not stop cleanly.
    pub fn retire(&mut self) -> Result<()> {
        self.writer.stop()?;
        self.tracker.as_mut().map_or(Ok(()), Tracker::stop)
    }

    /// The times for which it was stopped cleanly, each until it responded again or was killed.
    pub fn outages(&self) -> &[Span] {
        &self.outages
    }

    /// Where the data is: a file for SQLite, a data directory for MySQL.
    pub fn data(&self) -> &Path {
        match &self.database {
            Backend::File(file) => file,
            Backend::Server(server) => server.data_directory(),
        }
    }

    /// The MySQL server; `None` for SQLite.
    pub fn server(&self) -> Option<&Server> {
        match &self.database {
            Backend::File(_) => None,
            Backend::Server(server) => Some(server),
        }
    }

    /// The MySQL server, for starting and stopping it.
    ///
    /// # Errors
    /// [`Error::Bug`] for SQLite: plans do not combine a strategy with an engine that it does not support.
    pub fn server_mut(&mut self) -> Result<&mut Server> {
        match &mut self.database {
            Backend::File(_) => Err(Error::Bug(anyhow!("the subject has no database server"))),
            Backend::Server(server) => Ok(server),
        }
    }

    /// The database, as the verifier opens it.
    pub fn location(&self) -> Database {
        match &self.database {
            Backend::File(file) => Database::Sqlite(file.clone()),
            Backend::Server(server) => Database::Mysql(server.address().clone()),
        }
    }
}
