//! A program on this machine that replicates changes while the application runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use machine::error::{Error, Result};
use machine::process::{Account, Counters, Group, Launcher, StartError, last_lines};

use crate::contract::Replication;

/// A replication program. Its output goes to a file: it runs for the whole trial, and nothing would read a pipe for
/// that long.
pub struct ReplicationProgram {
    launcher: Launcher,
    command: Box<dyn Fn() -> Command>,
    log: PathBuf,
    /// How messages say that it exited.
    exited: String,
    running: Group,
    /// Resources used by the processes that were killed.
    used: Counters,
}

/// Why a replication program could not be started.
pub enum NotStarted {
    /// The program cannot be executed.
    Program(StartError),
    /// The file for its output cannot be written.
    Log(Error),
}

impl From<NotStarted> for Error {
    fn from(error: NotStarted) -> Error {
        match error {
            NotStarted::Program(unstarted) => unstarted.into(),
            NotStarted::Log(error) => error,
        }
    }
}

impl ReplicationProgram {
    /// Starts a command. `exited` is how messages say that it exited, without its output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        launcher: &Launcher,
        exited: String,
        command: impl Fn() -> Command + 'static,
    ) -> Result<ReplicationProgram, NotStarted> {
        let log = launcher.work_directory().join("replication.log");
        let running = spawn(launcher, command(), &log)?;
        Ok(ReplicationProgram {
            launcher: launcher.clone(),
            command: Box::new(command),
            log,
            exited,
            running,
            used: Counters::default(),
        })
    }
}

fn spawn(launcher: &Launcher, mut command: Command, log: &Path) -> Result<Group, NotStarted> {
    let refused =
        |error| NotStarted::Log(Error::Environment(format!("cannot write {}: {error}", log.display())));
    let output = File::options().create(true).append(true).open(log).map_err(refused)?;
    let errors = output.try_clone().map_err(refused)?;
    command.stdout(output).stderr(errors);
    let child = launcher.spawn(Account::Strategy, command).map_err(NotStarted::Program)?;
    Ok(Group::new(vec![child]))
}

impl Replication for ReplicationProgram {
    fn ended(&self) -> Option<String> {
        self.running.has_ended().then(|| match self.last_lines() {
            said if said.is_empty() => format!("{} without any output", self.exited),
            said => format!("{}; last output:\n{said}", self.exited),
        })
    }

    fn counters(&self) -> Option<Counters> {
        let mut sum = self.used;
        sum.add(&self.running.counters());
        Some(sum)
    }

    fn last_lines(&self) -> String {
        last_lines(&self.log)
    }

    fn note(&mut self) {
        // The resources of a process can be read after its end.
    }

    fn kill(&mut self) {
        self.running.kill();
    }

    fn start_again(&mut self) -> Result<()> {
        self.used.add(&self.running.counters());
        self.running = spawn(&self.launcher, (self.command)(), &self.log)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use machine::process::{Cancel, TICK};

    use super::*;

    fn started(script: String, directory: &Path) -> ReplicationProgram {
        let launcher = Launcher::new(directory, &Cancel::default());
        let command = move || {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script]).stdin(Stdio::null());
            command
        };
        let started = ReplicationProgram::start(&launcher, "the program exited".into(), command);
        started.map_err(Error::from).unwrap()
    }

    fn wait_for_end(program: &ReplicationProgram) -> String {
        loop {
            if let Some(ended) = program.ended() {
                return ended;
            }
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn an_unexpected_exit_is_reported_with_the_last_output() {
        let directory = tempfile::tempdir().unwrap();
        let program = started("echo one; echo 'no such bucket' >&2".into(), directory.path());
        insta::assert_snapshot!(wait_for_end(&program), @"
        the program exited; last output:
        one
        no such bucket
        ");
        let directory = tempfile::tempdir().unwrap();
        let silent = started("exit 1".into(), directory.path());
        assert_eq!(wait_for_end(&silent), "the program exited without any output");
    }

    #[test]
    fn the_resources_of_its_child_processes_are_counted_too() {
        let directory = tempfile::tempdir().unwrap();
        // One process that has ended and one that still runs; the shell itself writes nothing.
        let script = "sh -c 'printf 12345 >file'; sh -c 'printf 123 >>file; exec sleep 600'; true";
        let program = started(format!("cd {} && {script}", directory.path().display()), directory.path());
        while std::fs::read(directory.path().join("file")).unwrap_or_default().len() < 8 {
            std::thread::sleep(TICK);
        }
        assert_eq!(program.counters().unwrap().io.unwrap().bytes_written, 8);
    }

    #[test]
    fn after_a_kill_it_can_be_restarted_and_the_resources_of_both_runs_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        // Writes a line and keeps running: 2 bytes each time it is started.
        let mut program = started("echo x; exec sleep 600".into(), directory.path());
        let log = directory.path().join("replication.log");
        let said = |bytes| {
            while std::fs::metadata(&log).unwrap().len() < bytes {
                std::thread::sleep(TICK);
            }
        };
        said(2);
        assert_eq!(program.ended(), None);
        program.kill();
        assert!(program.ended().is_some());
        program.start_again().unwrap();
        said(4);
        assert_eq!(program.ended(), None);
        assert_eq!(program.counters().unwrap().io.unwrap().bytes_written, 4);
        let launcher = program.launcher.clone();
        drop(program);
        assert!(launcher.processes().running(Account::Strategy).is_empty(), "it ends when it is dropped");
    }
}
