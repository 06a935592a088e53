//! Systems under test: an application on a database engine, in one deployment.

use std::any::Any;
use std::path::Path;

use anyhow::anyhow;
use machine::error::{Error, Result};
use machine::measure::clock::{Span, now_ns};
use machine::process::{Account, Launcher};
use model::dataset::DatasetSpec;
use model::verify::Report;
use model::writes::Model;

use crate::applications::embedded::{Application, ApplicationTask, Target};
use crate::applications::tracker::service::Tracker;
use crate::applications::writer::Writer;
use crate::database::Database;
use crate::engine::Engine;
use crate::instance::Instance;
use crate::mysql::server::Server;

/// An application on a database engine. Its processes and containers end when it is dropped.
pub struct Subject {
    engine: &'static dyn Engine,
    database: Box<dyn Instance>,
    tracker: Option<Tracker>,
    writer: Writer,
    stopped_ns: Option<u64>,
    outages: Vec<Span>,
}

impl Subject {
    /// A subject that is not running yet, on a database of this dataset with writes of this model.
    pub fn new(
        launcher: &Launcher,
        engine: &'static dyn Engine,
        database: Box<dyn Instance>,
        tracker: Option<Tracker>,
        dataset: DatasetSpec,
        model: Model,
    ) -> Subject {
        // The clients that announce to a tracker are not part of the subject.
        let account = if tracker.is_some() { Account::Harness } else { Account::Subject };
        let target = match &tracker {
            Some(tracker) => Target::Tracker(tracker.target().clone()),
            None => Target::Database(Database { engine, access: database.access() }),
        };
        let application = Application { target, dataset, model, task: ApplicationTask::Serve };
        Subject {
            engine,
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
        self.database.start()?;
        self.tracker.as_mut().map_or(Ok(()), Tracker::start)
    }

    /// Starts the workload described by `task`, and waits until a read has been answered.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn begin(&mut self, task: ApplicationTask) -> Result<()> {
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
        match &mut self.tracker {
            Some(tracker) => tracker.stop()?,
            None if self.database.is_in_application() => self.writer.stop()?,
            None => {}
        }
        self.database.stop()
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
        self.database.note();
    }

    /// Kills everything with SIGKILL, one after the other.
    pub fn kill(&mut self) {
        self.end_outage();
        self.writer.kill();
        if let Some(tracker) = &mut self.tracker {
            tracker.kill();
        }
        self.database.kill();
    }

    /// Kills what a crash at `at_ns` has left of it. It is down from then on, until it is started again.
    pub fn crash(&mut self, at_ns: u64) {
        self.kill();
        self.stopped_ns = Some(at_ns);
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
        tracker.or_else(|| self.ended_engine())
    }

    /// How the engine ended, with its last output, if it exited unexpectedly.
    pub fn ended_engine(&self) -> Option<String> {
        self.database.ended()
    }

    /// What a verification of its database found: [`Instance::report_or_crash`].
    pub fn report_or_crash(
        &self,
        report: std::result::Result<Report, String>,
    ) -> std::result::Result<Report, String> {
        self.database.report_or_crash(report)
    }

    /// Starts it on a restored database without workload, and waits until it has answered one read and one write.
    ///
    /// # Errors
    /// When it does not.
    pub fn serve(&mut self) -> Result<()> {
        self.start_services()?;
        self.writer.start(ApplicationTask::Serve)
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

    /// Shuts the engine down cleanly, so that a later one finds the data that was verified; does nothing if it is not
    /// running.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn shut_down(&mut self) -> Result<()> {
        self.database.stop()
    }

    /// Brings what a disaster left into a state that the verifier can read.
    ///
    /// # Errors
    /// When the engine cannot recover it.
    pub fn recover(&mut self) -> Result<()> {
        self.database.recover()
    }

    /// Its engine.
    pub fn engine(&self) -> &'static dyn Engine {
        self.engine
    }

    /// Where the data is: a file or a data directory.
    pub fn data(&self) -> &Path {
        self.database.data()
    }

    /// The server of an engine that speaks MySQL's protocol; `None` for other engines. For strategies that use such a
    /// server.
    pub fn server(&self) -> Option<&Server> {
        (&*self.database as &dyn Any).downcast_ref()
    }

    /// The same server, for starting and stopping it.
    ///
    /// # Errors
    /// [`Error::Bug`] without such a server: plans do not combine a strategy with an engine that it does not support.
    pub fn server_mut(&mut self) -> Result<&mut Server> {
        let server = (&mut *self.database as &mut dyn Any).downcast_mut();
        server.ok_or_else(|| Error::Bug(anyhow!("the subject has no database server")))
    }

    /// The database, as the verifier opens it.
    pub fn location(&self) -> Database {
        Database { engine: self.engine, access: self.database.access() }
    }
}
