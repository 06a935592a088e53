//! Starts child processes, and knows those that are running.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::alive::is_alive;
use super::cancel::Cancel;
use super::child::Child;
use super::counters::{Account, ProcessRegistry};
use super::group::Group;
use super::marked::MARK;
use super::start::{StartError, die_with_this_process, enter_groups};
use crate::error::Result;
use crate::worker::{ARGUMENT, Job, Progress, line_for};

/// Starts the children of one trial.
#[derive(Clone)]
pub struct Launcher {
    /// Checked at every wait.
    pub cancel: Cancel,
    work_directory: PathBuf,
    processes: Arc<Mutex<ProcessRegistry>>,
}

impl Launcher {
    /// A launcher with an empty registry; children are marked with `work_directory`.
    pub fn new(work_directory: &Path, cancel: &Cancel) -> Launcher {
        Launcher {
            cancel: cancel.clone(),
            work_directory: work_directory.to_owned(),
            processes: Arc::default(),
        }
    }

    /// The directory with which children are marked. Temporary files belong in it.
    pub fn work_directory(&self) -> &Path {
        &self.work_directory
    }

    /// The processes of this launcher.
    pub fn processes(&self) -> MutexGuard<'_, ProcessRegistry> {
        self.processes.lock().expect("no thread panics while it holds this lock")
    }

    /// Sends SIGKILL to every process on an account and to its child processes, one right after the other. A process
    /// that this user may not kill (a container of another user) must be killed by the code that started it. Returns
    /// the number of processes that were still running.
    pub fn kill_all(&self, account: Account) -> usize {
        let mut killed = 0;
        for pid in self.processes().running(account) {
            killed += usize::from(is_alive(pid));
            let pid = Pid::from_raw(pid);
            // The whole process group; a process of a container need not be the leader of its group.
            if killpg(pid, Signal::SIGKILL).is_err() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        killed
    }

    /// Starts a command.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self, account: Account, mut command: Command) -> Result<Child, StartError> {
        let program = PathBuf::from(command.get_program());
        let name =
            program.file_name().map_or_else(|| "command".into(), |name| name.to_string_lossy().into_owned());
        command.env(MARK, &self.work_directory).process_group(0);
        command.envs(self.processes().environment(account));
        let entrances = self.processes().entrances(account);
        let entrances = entrances.map_err(|error| StartError::new(program.clone(), name.clone(), error))?;
        enter_groups(&mut command, entrances);
        die_with_this_process(&mut command);
        match command.spawn() {
            Ok(process) => Ok(Child::new(name, account, process, self.processes.clone())),
            Err(error) => Err(StartError::new(program, name, error)),
        }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// [`Error::Environment`](crate::error::Error::Environment) when it cannot be started or fails, with its output as
    /// far as that is piped; [`Error::Interrupted`](crate::error::Error::Interrupted).
    pub fn run(&self, account: Account, command: Command) -> Result<()> {
        // Checked here, because most commands end before the first check of the wait.
        self.cancel.check()?;
        let mut group = Group::new(vec![self.spawn(account, command)?]);
        group.wait(|_| self.cancel.check())?.result()?;
        Ok(())
    }

    /// Starts a worker: this same program, which does one job in a separate process.
    ///
    /// # Errors
    /// [`Error::Environment`](crate::error::Error::Environment) when it cannot be started.
    pub fn worker<J: Job>(&self, account: Account, job: &J) -> Result<(Child, ChildStdin)> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(account, command)?;
        child.name = job.title();
        child.is_worker = true;
        let mut stdin = child.take_stdin().expect("stdin is piped");
        let line = line_for(job).context("a job is plain data")?;
        // A worker that dies before it reads its job is reported by the wait for it, with its output.
        let _ = stdin.write_all(&line);
        Ok((child, stdin))
    }

    /// Lets a worker do one job and waits for the result.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::error::Error::Interrupted), or the error that the worker reports; a crash of the
    /// worker is reported with its signal.
    pub fn work<J: Job>(
        &self,
        account: Account,
        job: &J,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<J::Answer> {
        let (child, stdin) = self.worker(account, job)?;
        drop(stdin);
        let mut group = Group::new(vec![child]);
        let outcome = group.wait(|event| {
            if let Some(progress) = event {
                on_progress(progress);
            }
            self.cancel.check()
        })?;
        let value = outcome.result()?;
        Ok(serde_json::from_value(value)
            .context("a worker's answer does not have the type that its job requires")?)
    }
}
