//! The writer as a child process: the embedded application, or the peers of a tracker.

use std::process::ChildStdin;
use std::time::Duration;

use machine::error::{Error, Result};
use machine::process::{Account, Group, Launcher};

use super::embedded::{Application, ApplicationTask};

/// Long enough to roll back the journal of a crashed process when opening the database.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The writer process.
pub struct Writer {
    launcher: Launcher,
    account: Account,
    application: Application,
    process: Option<(Group, ChildStdin)>,
}

impl Writer {
    /// A writer that is not running yet.
    pub fn new(launcher: &Launcher, account: Account, application: Application) -> Writer {
        Writer { launcher: launcher.clone(), account, application, process: None }
    }

    /// Starts it with a task and waits until it reports that it is ready.
    ///
    /// # Errors
    /// When it does not become ready, with its output.
    pub fn start(&mut self, task: ApplicationTask) -> Result<()> {
        self.application.task = task;
        self.start_again()
    }

    /// Starts it again with the same task.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_again(&mut self) -> Result<()> {
        let (child, stdin) = self.launcher.worker(self.account, &self.application)?;
        let mut group = Group::new(vec![child]);
        group.wait_ready(&self.launcher.cancel, START_TIMEOUT)?;
        self.process = Some((group, stdin));
        Ok(())
    }

    /// Lets it finish its current write, close the database and exit.
    ///
    /// # Errors
    /// When it ends with an error.
    pub fn stop(&mut self) -> Result<()> {
        let Some((mut group, stdin)) = self.process.take() else {
            return Ok(());
        };
        drop(stdin);
        let ended = group.wait(|_| self.launcher.cancel.check())?;
        ended
            .result()
            .map(|_| ())
            .map_err(|message| Error::Environment(format!("the application did not stop cleanly: {message}")))
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some((mut group, _stdin)) = self.process.take() {
            group.kill();
        }
    }

    /// How it ended, if it exited unexpectedly.
    pub fn ended(&self) -> Option<String> {
        let (group, _) = self.process.as_ref().filter(|(group, _)| group.has_ended())?;
        Some(group.last_words())
    }

    /// True while it is running.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|(group, _)| !group.has_ended())
    }
}
