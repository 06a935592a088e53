//! Containers: started, watched, accounted for, and removed for certain.
//!
//! A container is no child of the harness but of Docker, so what holds for children (`crate::process`) is done in
//! other ways. Its main process is watched and killed directly, where this machine sees it; its end comes from
//! [`Drop`]; and when the harness was killed, the next start finds it by its label ([`sweep`]).

mod create;
mod host_process;
mod network;
mod script;
mod spec;
mod sweep;
mod words;

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
pub use spec::{Mount, Network, Port, Protocol, Spec};
pub use sweep::{LABEL, sweep};

/// How often what a container has used is read while it stops, to be close to its end.
const LAST_TICK: Duration = Duration::from_millis(5);
/// Lines that a message or a record keeps of what a container said.
const OUTPUT_LINES: usize = 20;
/// How long Docker may take to notice what has happened already.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(60);

/// A container. Dropping it removes it, running or not.
pub struct Container {
    spec: Spec,
    account: Account,
    launcher: Launcher,
    docker: Docker,
    /// `None` only while it is dropped.
    handle: Option<ContainerAsync<GenericImage>>,
    id: String,
    running: bool,
    /// `None` when it is not running, or where this machine does not see it.
    process: Option<HostProcess>,
    used: Option<Counters>,
    /// When it was started again last: what it said before is another life's.
    started_at: Timestamp,
}

/// How a container ended by itself.
#[derive(Clone, Debug)]
pub struct Exit {
    /// 0 stands for success.
    pub code: i64,
    /// The kernel killed a process of it, because its memory was used up.
    pub out_of_memory: bool,
    /// The last lines that it printed.
    pub output: String,
    /// What it used: exact for [`Spec::shell`], otherwise as it was read last before the end, up to [`TICK`] of
    /// time ago. `None` when it was never read.
    pub counters: Option<Counters>,
}

impl Container {
    /// Starts a container from an image that is on this machine, as the user and group of this process.
    ///
    /// # Errors
    /// [`Error::Environment`] when Docker is not there, the image is not, a port is taken, or Docker refuses;
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

    /// Starts it again after it has ended, with all that it wrote.
    ///
    /// # Errors
    /// As [`Container::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.launcher.cancel.check()?;
        assert!(!self.is_running(), "the {} is running already", self.spec.name);
        self.leave(None);
        // What Docker does not tell now, it will when it is asked to start it.
        let _ = self.state_after_end();
        self.started_at = Timestamp::now();
        let handle = self.handle.as_ref().expect("it is not being dropped");
        block_on(handle.start()).map_err(|error| create::explain(&self.spec, &error))?;
        self.enter()
    }

    /// Waits until it says `text`, counted from its latest start; colours are not part of what it says.
    ///
    /// # Errors
    /// [`Error::Environment`] with the last lines when it ends or does not say so in time;
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
                Ok(Some(Err(error))) => return Err(failed("tell what a container says", &error)),
                Ok(None) => {
                    self.leave_when_ended();
                    let (name, last_words) = (self.spec.name, self.last_words());
                    return Err(Error::Environment(format!(
                        "the {name} ended before it was ready: {last_words}"
                    )));
                }
                Err(_) => {}
            }
            if words::said_since(&said, self.started_at, text) {
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
    /// [`Error::Environment`] when it does not end in time, and then it is killed; [`Error::Interrupted`].
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
    /// What `on_tick` returned, and [`Error::Environment`] when Docker does not say how it ended.
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
            Error::Environment(format!("Docker does not say how the {name} ended: {cause}"))
        };
        let state = state.map_err(|error| unknown(&reason(&error)))?;
        let code = state.exit_code.ok_or_else(|| unknown("there is no exit code"))?;
        let out_of_memory = state.oom_killed.unwrap_or(false);
        Ok(Exit { code, out_of_memory, output: self.last_lines(), counters })
    }

    /// What it has used since its latest start; `None` when that was never read.
    pub fn counters(&self) -> Option<Counters> {
        self.process.as_ref().and_then(HostProcess::counters).or(self.used)
    }

    /// For messages: how it ended, if it did, and its last lines.
    pub fn last_words(&self) -> String {
        let ended = if self.is_running() {
            "it still runs".to_owned()
        } else {
            match self.state_after_end() {
                Ok(state) => {
                    let code = state.exit_code;
                    let code = code.map_or("an unknown status".to_owned(), |code| format!("status {code}"));
                    let memory = if state.oom_killed == Some(true) { ", out of memory" } else { "" };
                    format!("it ended with {code}{memory}")
                }
                Err(error) => format!("it ended, and Docker does not say how ({})", reason(&error)),
            }
        };
        match self.last_lines() {
            lines if lines.is_empty() => format!("{ended} and said nothing"),
            lines => format!("{ended} and said:\n{lines}"),
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.running = true;
        self.used = None;
        let inspected = block_on(self.docker.inspect_container(&self.id, None));
        let inspected = inspected.map_err(|error| failed("look at a container", &error))?;
        let pid = inspected.state.and_then(|state| state.pid).unwrap_or(0);
        self.process = HostProcess::find(pid, &self.id);
        if let Some(process) = &self.process {
            self.launcher.roster().enter_container(self.account, process.pid);
        }
        self.note();
        Ok(())
    }

    /// It has ended: what it used is on its account, once.
    fn leave(&mut self, exactly: Option<Counters>) {
        if self.running {
            self.running = false;
            let pid = self.process.take().map(|process| process.pid);
            self.used = exactly.or(self.used);
            self.launcher.roster().leave_container(self.account, pid, self.used);
        }
    }

    fn leave_when_ended(&mut self) {
        if self.has_ended_within(NOTICE_TIMEOUT.min(TICK)) {
            self.leave(None);
        }
    }

    /// Reads what it has used, for when it has ended.
    pub fn note(&mut self) {
        self.used = self.counters();
        if let Some(bytes) = self.process.as_ref().and_then(HostProcess::anonymous_bytes) {
            self.launcher.roster().note_memory(self.account, bytes);
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
        // It may have ended by itself.
        let _ = block_on(self.docker.kill_container(&self.id, Some(options)));
    }

    /// How it ended, once Docker has noticed; as it is, when Docker does not notice in time.
    fn state_after_end(&self) -> std::result::Result<ContainerState, DockerError> {
        block_on(async {
            let mut ended = Box::pin(self.docker.wait_container(&self.id, None::<WaitContainerOptions>));
            // An exit code that is not 0 is an error to the client; it is read below.
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
                    format!("(Docker does not tell what it printed: {})", reason(&error)).as_bytes(),
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
                // What cannot be removed now is found by the sweep.
                let _ = handle.rm().await;
            }
        });
    }
}
