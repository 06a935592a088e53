//! The embedded application on SQLite, as a child process.

use std::path::Path;
use std::process::ChildStdin;
use std::time::Duration;

use super::Subject;
use crate::error::{Error, Result};
use crate::measure::clock::now_ns;
use crate::measure::impact::Span;
use crate::process::{Account, Group, Launcher};
use crate::worker::Job;
use crate::workload::embedded::{Application, Task};

/// Opening may have to roll back a journal of a crashed process first.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The embedded application on SQLite.
pub struct EmbeddedSqlite {
    launcher: Launcher,
    application: Application,
    process: Option<(Group, ChildStdin)>,
    stopped_ns: Option<u64>,
    outages: Vec<Span>,
}

impl EmbeddedSqlite {
    /// A subject that is not running yet; `application.task` is what [`Subject::start`] starts.
    pub fn new(launcher: &Launcher, application: Application) -> EmbeddedSqlite {
        EmbeddedSqlite {
            launcher: launcher.clone(),
            application,
            process: None,
            stopped_ns: None,
            outages: Vec::new(),
        }
    }

    fn launch(&mut self, application: Application) -> Result<()> {
        let (child, stdin) = self.launcher.worker(Account::Subject, &Job::Application(application))?;
        let mut group = Group::new(vec![child]);
        group.wait_ready(&self.launcher.cancel, START_TIMEOUT)?;
        self.process = Some((group, stdin));
        Ok(())
    }
}

impl Subject for EmbeddedSqlite {
    fn start(&mut self) -> Result<()> {
        self.launch(self.application.clone())?;
        if let Some(from_ns) = self.stopped_ns.take() {
            self.outages.push(Span { from_ns, to_ns: now_ns() });
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let Some((mut group, stdin)) = self.process.take() else {
            return Ok(());
        };
        self.stopped_ns = Some(now_ns());
        drop(stdin);
        let ended = group.wait(|_| self.launcher.cancel.check())?;
        ended.result().map_err(|message| {
            Error::Environment(format!("the application did not stop in good order: {message}"))
        })?;
        Ok(())
    }

    fn kill(&mut self) {
        if let Some((mut group, _stdin)) = self.process.take() {
            group.kill();
        }
    }

    fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|(group, _)| !group.has_ended())
    }

    fn serve(&mut self) -> Result<()> {
        self.launch(Application { task: Task::Serve, ..self.application.clone() })
    }

    fn outages(&self) -> &[Span] {
        &self.outages
    }

    fn database(&self) -> &Path {
        &self.application.database
    }
}
