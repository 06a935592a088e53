//! Containers: started, watched, accounted for, and always removed.
//!
//! A container is a child of Docker, not of the harness, so the guarantees for child processes (`crate::process`) need
//! other means. Its main process is watched and killed directly, if it is visible on this machine; [`Drop`] removes it;
//! and when the harness itself was killed, its next start finds the container by its label ([`sweep`]).

mod create;
mod host_process;
mod log;
mod network;
mod script;
mod spec;
mod sweep;

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::ContainerState;
use bollard::query_parameters::{KillContainerOptionsBuilder, LogsOptionsBuilder, WaitContainerOptions};
use futures_util::StreamExt;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use reports::printable;
use testcontainers::{ContainerAsync, GenericImage};

use crate::docker::{block_on, connect, detached, failed, reason};
use crate::error::{Error, Result};
use crate::process::{Account, Counters, Launcher, TICK};
use host_process::HostProcess;
pub use network::OwnNetwork;
pub use spec::{BindMount, Network, Port, Protocol, Spec};
pub use sweep::{LABEL, sweep};

/// How often the resources of a container are read while it stops, so that the last reading is close to its end.
const LAST_TICK: Duration = Duration::from_millis(5);
/// Number of output lines of a container in a message or a record.
const OUTPUT_LINES: usize = 20;
/// How long Docker may take to notice that a container has ended.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(60);

/// A container. Dropping it removes it, running or not.
pub struct Container {
    spec: Spec,
    account: Account,
    launcher: Launcher,
    docker: Docker,
    /// `None` only while it is being dropped.
    handle: Option<ContainerAsync<GenericImage>>,
    id: String,
    running: bool,
    /// `None` when it is not running, or not visible on this machine.
    process: Option<HostProcess>,
    used: Option<Counters>,
    /// When it was last restarted: earlier output is from a previous start.
    started_at: Timestamp,
}

/// How a container exited.
#[derive(Clone, Debug)]
pub struct Exit {
    /// 0 means success.
    pub code: i64,
    /// The last lines that it printed.
    pub output: String,
    /// The resources that it used: exact for [`Spec::shell`], otherwise the last reading, up to [`TICK`] before the
    /// end. `None` when they were never read.
    pub counters: Option<Counters>,
}

impl Container {
    /// Starts a container from an image that is present on this machine, as the user and group of this process.
    ///
    /// # Errors
    /// [`Error::Environment`] when Docker or the image is missing, a port is taken, or Docker rejected the request;
    /// [`Error::Interrupted`].
    pub fn start(launcher: &Launcher, account: Account, spec: Spec) -> Result<Container> {
        launcher.cancel.check()?;
        let docker = connect()?;
        let handle = create::create(&docker, launcher, &spec)?;
        let mut container = Container {
            spec,
            account,
            launcher: launcher.clone(),
            docker,
            id: handle.id().to_owned(),
            handle: Some(handle),
            running: false,
            process: None,
            used: None,
            started_at: Timestamp::MIN,
        };
        container.enter()?;
        Ok(container)
    }

    /// Starts it again after it has ended, with the files that it wrote.
    ///
    /// # Errors
    /// As [`Container::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.launcher.cancel.check()?;
        assert!(!self.is_running(), "the {} is running already", self.spec.name);
        self.leave(None);
        // An error here is ignored: Docker will report it again at the start below.
        let _ = self.state_after_end();
        self.started_at = Timestamp::now();
        let handle = self.handle.as_ref().expect("it is not being dropped");
        block_on(handle.start()).map_err(|error| create::explain(&self.spec, &error))?;
        self.enter()
    }

    /// Waits until it prints `text`, ignoring output from before its latest start, and colour codes.
    ///
    /// # Errors
    /// [`Error::Environment`] with the last lines when it ends or does not print the text in time;
    /// [`Error::Interrupted`].
    pub fn wait_for_log(&mut self, text: &str, timeout: Duration) -> Result<()> {
        let give_up = Instant::now() + timeout;
        let options =
            LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).timestamps(true).build();
        let docker = self.docker.clone();
        let mut stream = Box::pin(docker.logs(&self.id, Some(options)));
        let mut said = Vec::new();
        loop {
            self.launcher.cancel.check()?;
            self.note();
            match block_on(async { tokio::time::timeout(TICK, stream.next()).await }) {
                Ok(Some(Ok(chunk))) => said.extend_from_slice(&chunk.into_bytes()),
                Ok(Some(Err(error))) => return Err(failed("read the output of a container", &error)),
                Ok(None) => {
                    self.leave_when_ended();
                    let (name, last_words) = (self.spec.name, self.last_words());
                    return Err(Error::Environment(format!(
                        "the {name} ended before it was ready: {last_words}"
                    )));
                }
                Err(_) => {}
            }
            if log::was_logged_since(&said, self.started_at, text) {
                return Ok(());
            }
            if Instant::now() >= give_up {
                let (name, seconds, last_words) = (self.spec.name, timeout.as_secs(), self.last_words());
                return Err(Error::Environment(format!(
                    "the {name} was not ready within {seconds} s: {last_words}"
                )));
            }
        }
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    /// [`Error::Environment`] when it does not end in time: it is killed then. [`Error::Interrupted`].
    pub fn stop(&mut self, timeout: Duration) -> Result<()> {
        let give_up = Instant::now() + timeout;
        let signal = self.spec.stop_signal;
        if self.running {
            self.signal(signal);
        }
        while !self.has_ended_within(LAST_TICK) {
            self.note();
            self.launcher.cancel.check()?;
            if Instant::now() >= give_up {
                self.kill();
                return Err(Error::Environment(format!(
                    "the {} did not stop within {} s of {signal} and was killed: {}",
                    self.spec.name,
                    timeout.as_secs(),
                    self.last_words()
                )));
            }
        }
        self.leave(None);
        Ok(())
    }

    /// Sends SIGKILL, and returns when it is dead.
    pub fn kill(&mut self) {
        if !self.running {
            return;
        }
        self.note();
        self.signal(Signal::SIGKILL);
        let give_up = Instant::now() + NOTICE_TIMEOUT;
        while !self.has_ended_within(TICK) && Instant::now() < give_up {}
        self.leave(None);
    }

    /// True until its main process has ended.
    pub fn is_running(&self) -> bool {
        self.running && !self.has_ended_within(Duration::ZERO)
    }

    /// Waits for its end. `on_tick` is called at least every [`TICK`]; its error kills the container.
    ///
    /// # Errors
    /// The error of `on_tick`, and [`Error::Environment`] when Docker does not report how it ended.
    pub fn wait<E: From<Error>>(
        &mut self,
        on_tick: &mut dyn FnMut() -> std::result::Result<(), E>,
    ) -> std::result::Result<Exit, E> {
        while !self.has_ended_within(TICK) {
            self.note();
            if let Err(error) = on_tick() {
                self.kill();
                return Err(error);
            }
        }
        let state = self.state_after_end();
        let counters = self.script_account().or(self.used);
        self.leave(counters);
        let unknown = |cause: &str| {
            let name = self.spec.name;
            Error::Environment(format!("Docker did not report how the {name} ended: {cause}"))
        };
        let state = state.map_err(|error| unknown(&reason(&error)))?;
        let code = state.exit_code.ok_or_else(|| unknown("there is no exit code"))?;
        Ok(Exit { code, output: self.last_lines(), counters })
    }

    /// The resources that it has used since its latest start; `None` when they were never read.
    pub fn counters(&self) -> Option<Counters> {
        self.process.as_ref().and_then(HostProcess::counters).or(self.used)
    }

    /// For messages: how it ended, if it did, and its last lines.
    pub fn last_words(&self) -> String {
        let ended = if self.is_running() {
            "it is still running".to_owned()
        } else {
            match self.state_after_end() {
                Ok(state) => {
                    let code = state.exit_code;
                    let code = code.map_or("an unknown status".to_owned(), |code| format!("status {code}"));
                    let memory = if state.oom_killed == Some(true) { ", out of memory" } else { "" };
                    format!("it exited with {code}{memory}")
                }
                Err(error) => format!("it ended, and Docker did not report how ({})", reason(&error)),
            }
        };
        match self.last_lines() {
            lines if lines.is_empty() => format!("{ended}; no output"),
            lines => format!("{ended}; last output:\n{lines}"),
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.running = true;
        self.used = None;
        let inspected = block_on(self.docker.inspect_container(&self.id, None));
        let inspected = inspected.map_err(|error| failed("inspect a container", &error))?;
        let pid = inspected.state.and_then(|state| state.pid).unwrap_or(0);
        self.process = HostProcess::find(pid, &self.id);
        if let Some(process) = &self.process {
            self.launcher.processes().enter_container(self.account, process.pid);
        }
        self.note();
        Ok(())
    }

    /// It has ended: adds the resources that it used to its account, once.
    fn leave(&mut self, exactly: Option<Counters>) {
        if self.running {
            self.running = false;
            let pid = self.process.take().map(|process| process.pid);
            self.used = exactly.or(self.used);
            self.launcher.processes().leave_container(self.account, pid, self.used);
        }
    }

    fn leave_when_ended(&mut self) {
        if self.has_ended_within(NOTICE_TIMEOUT.min(TICK)) {
            self.leave(None);
        }
    }

    /// Reads the resources that it has used, because they cannot be read after its end.
    pub fn note(&mut self) {
        self.used = self.counters();
        if let Some(bytes) = self.process.as_ref().and_then(HostProcess::anonymous_bytes) {
            self.launcher.processes().note_memory(self.account, bytes);
        }
    }

    fn has_ended_within(&self, timeout: Duration) -> bool {
        if !self.running {
            return true;
        }
        if let Some(process) = &self.process {
            return process.has_ended(timeout);
        }
        let state = block_on(self.docker.inspect_container(&self.id, None)).ok();
        let ended = !state.and_then(|inspected| inspected.state?.running).unwrap_or(false);
        if !ended {
            std::thread::sleep(timeout);
        }
        ended
    }

    fn signal(&self, signal: Signal) {
        if self.process.as_ref().is_some_and(|process| process.signal(signal)) {
            return;
        }
        let options = KillContainerOptionsBuilder::new().signal(signal.as_str()).build();
        // An error is ignored: the container may have ended already.
        let _ = block_on(self.docker.kill_container(&self.id, Some(options)));
    }

    /// Its state after Docker has noticed its end; its present state if Docker does not notice in time.
    fn state_after_end(&self) -> std::result::Result<ContainerState, DockerError> {
        block_on(async {
            let mut ended = Box::pin(self.docker.wait_container(&self.id, None::<WaitContainerOptions>));
            // The client reports an exit code other than 0 as an error; the code is read below.
            let _ = tokio::time::timeout(NOTICE_TIMEOUT, ended.next()).await;
            self.docker.inspect_container(&self.id, None).await.map(|all| all.state.unwrap_or_default())
        })
    }

    fn script_account(&self) -> Option<Counters> {
        self.spec.script.as_ref()?;
        let handle = self.handle.as_ref().expect("it is not being dropped");
        let account = block_on(handle.copy_file_from(script::ACCOUNT, Vec::new())).ok()?;
        script::parse(&String::from_utf8_lossy(&account))
    }

    /// The last lines that it printed.
    pub fn last_lines(&self) -> String {
        let tail = OUTPUT_LINES.to_string();
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
        let chunks = block_on(self.docker.logs(&self.id, Some(options)).collect::<Vec<_>>());
        let mut said = Vec::new();
        for chunk in chunks {
            match chunk {
                Ok(chunk) => said.extend_from_slice(&chunk.into_bytes()),
                Err(error) => said.extend_from_slice(
                    format!("(Docker could not read its output: {})", reason(&error)).as_bytes(),
                ),
            }
        }
        printable(&String::from_utf8_lossy(&said)).trim_end().to_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.note();
        if let Some(process) = &self.process {
            process.signal(Signal::SIGKILL);
            process.has_ended(NOTICE_TIMEOUT);
        }
        self.leave(None);
        let handle = self.handle.take();
        detached(NOTICE_TIMEOUT, async move {
            if let Some(handle) = handle {
                // If this fails, a later sweep removes it.
                let _ = handle.rm().await;
            }
        });
    }
}
