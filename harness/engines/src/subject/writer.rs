//! What writes, as a child process: the embedded application, or the peers of a tracker.

use std::process::ChildStdin;
use std::time::Duration;

use machine::error::{Error, Result};
use machine::process::{Account, Group, Launcher};

use crate::application::{Application, Task};

/// Opening may have to roll back a journal of a crashed process first.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The process that writes.
pub struct Writer {
    launcher: Launcher,
    account: Account,
    application: Application,
    process: Option<(Group, ChildStdin)>,
}

impl Writer {
    /// A writer that does not run yet.
    pub fn new(launcher: &Launcher, account: Account, application: Application) -> Writer {
        Writer { launcher: launcher.clone(), account, application, process: None }
    }

    /// Starts it with a task and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub fn start(&mut self, task: Task) -> Result<()> {
        self.application.task = task;
        self.start_again()
    }

    /// Starts it with the task that it had.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_again(&mut self) -> Result<()> {
        let (child, stdin) = self.launcher.worker(self.account, &self.application)?;
        let mut group = Group::new(vec![child]);
        group.wait_ready(&self.launcher.cancel, START_TIMEOUT)?;
        self.process = Some((group, stdin));
        Ok(())
    }

    /// Lets it finish the write it is at, close the database and end.
    ///
    /// # Errors
    /// When it ends with an error.
    pub fn stop(&mut self) -> Result<()> {
        let Some((mut group, stdin)) = self.process.take() else {
            return Ok(());
        };
        drop(stdin);
        let ended = group.wait(|_| self.launcher.cancel.check())?;
        ended.result().map(|_| ()).map_err(|message| {
            Error::Environment(format!("the application did not stop in good order: {message}"))
        })
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some((mut group, _stdin)) = self.process.take() {
            group.kill();
        }
    }

    /// What is known about its end, when it ended by itself.
    pub fn ended(&self) -> Option<String> {
        let (group, _) = self.process.as_ref().filter(|(group, _)| group.has_ended())?;
        Some(group.last_words())
    }

    /// True while it runs.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|(group, _)| !group.has_ended())
    }
}
