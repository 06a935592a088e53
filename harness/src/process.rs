//! Child processes: measured exactly, killed for certain.
//!
//! Every child is the leader of a process group of its own, dies with the harness (`PR_SET_PDEATHSIG`), and
//! carries [`MARK`] in its environment, by which the next start finds whatever a killed harness left behind.

mod counters;
mod output;
mod start;

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid, getppid};
use serde::Deserialize;

pub use counters::{Account, Counters, Roster};
pub use output::last_lines;
use output::{Output, keep, listen};
pub use start::{is_mounted_noexec, on_path, why_not_started};

use crate::error::{Error, Result};
use crate::worker::{Job, Message};

/// Environment variable that every child carries; its value is the working directory of the run.
pub const MARK: &str = "BACKUP_DRILL_WORK";

/// The user's wish to stop, asked for at every wait.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks everything to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Interrupted`] once somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sleeps until `until`, or until somebody asks to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once somebody asked.
    pub fn sleep_until(&self, until: Instant) -> Result<()> {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.check()?;
            std::thread::sleep(left.min(TICK));
        }
        self.check()
    }
}

/// Undoes an inherited `SIGCHLD` that is ignored: the kernel would reap children before their end is accounted for.
/// Called once, at the start of the program.
pub fn expect_children() {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }
        .expect("the default disposition is valid for SIGCHLD");
}

/// Lets a reader that has seen enough end this program without a word. For what has nothing to clean up.
pub fn end_with_the_reader() {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) }
        .expect("the default disposition is valid for SIGPIPE");
}

/// How often waits look at cancellation, deadline and stall. No measurement depends on it: the end of a
/// process wakes its waiter at once.
pub const TICK: Duration = Duration::from_millis(50);

/// Starts the children of one trial.
#[derive(Clone)]
pub struct Launcher {
    /// Asked for at every wait.
    pub cancel: Cancel,
    work_directory: PathBuf,
    roster: Arc<Mutex<Roster>>,
}

impl Launcher {
    /// A launcher with an empty roster; children are marked with `work_directory`.
    pub fn new(work_directory: &Path, cancel: &Cancel) -> Launcher {
        Launcher { cancel: cancel.clone(), work_directory: work_directory.to_owned(), roster: Arc::default() }
    }

    /// What the children are marked with: temporary files belong below it.
    pub fn work_directory(&self) -> &Path {
        &self.work_directory
    }

    /// The processes of this launcher.
    pub fn roster(&self) -> std::sync::MutexGuard<'_, Roster> {
        self.roster.lock().expect("nobody panics while holding the roster")
    }

    /// Sends SIGKILL to every process on an account and what it started, one right after the other. What the kernel does not permit (a
    /// container of another user) is for whoever started it.
    pub fn kill_all(&self, account: Account) {
        for pid in self.roster().running(account).into_iter().map(Pid::from_raw) {
            // With all that it started; a process of a container need not be the first of its group.
            if killpg(pid, Signal::SIGKILL).is_err() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }

    /// Starts a command.
    ///
    /// # Errors
    /// [`Error::Environment`] when the program cannot be started.
    pub fn spawn(&self, account: Account, mut command: Command) -> Result<Child> {
        let program = PathBuf::from(command.get_program());
        let name =
            program.file_name().map_or_else(|| "command".into(), |name| name.to_string_lossy().into_owned());
        let harness = getpid();
        command.env(MARK, &self.work_directory).process_group(0);
        // SAFETY: only async-signal-safe calls (prctl, getppid) between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                // The harness may have died before the line above took effect.
                if getppid() == harness { Ok(()) } else { Err(std::io::ErrorKind::Interrupted.into()) }
            });
        }
        let child = command.spawn().map_err(|error| {
            Error::Environment(format!("cannot start '{name}': {}", why_not_started(&program, &error)))
        })?;
        let pid = child.id() as i32;
        self.roster().running.push((account, pid));
        let roster = self.roster.clone();
        Ok(Child { name, is_worker: false, account, process: child, reaped: None, roster })
    }

    /// Starts a worker: this same program, doing one job in a process of its own.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be started.
    pub fn worker(&self, account: Account, job: &Job) -> Result<(Child, ChildStdin)> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(crate::worker::ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.spawn(account, command)?;
        child.name = job.name();
        child.is_worker = true;
        let mut stdin = child.process.stdin.take().expect("stdin is piped");
        let mut line = serde_json::to_vec(job).context("a job is plain data")?;
        line.push(b'\n');
        // A worker that dies before it reads its job is reported by the wait for it, with what it printed.
        let _ = stdin.write_all(&line);
        Ok((child, stdin))
    }

    /// Lets a worker do one job and waits for the result.
    ///
    /// # Errors
    /// [`Error::Interrupted`], or what the worker reports; a worker that crashes is reported with its signal.
    pub fn work<T: for<'a> Deserialize<'a>>(
        &self,
        account: Account,
        job: &Job,
        on_progress: &mut dyn FnMut(crate::worker::Progress),
    ) -> Result<T> {
        let (child, stdin) = self.worker(account, job)?;
        drop(stdin);
        let mut group = Group::new(vec![child]);
        let outcome = group.wait(|event| {
            if let Some(progress) = event {
                on_progress(progress);
            }
            self.cancel.check()
        })?;
        let value = outcome.result().map_err(|message| anyhow!("{message}"))?;
        Ok(serde_json::from_value(value).context("a worker's answer has the shape that its job says")?)
    }
}

/// A running child. Dropping it kills its whole process group and waits for its end.
pub struct Child {
    /// What messages call it.
    pub name: String,
    /// It speaks in messages; what any other program prints is never taken for one.
    is_worker: bool,
    account: Account,
    process: std::process::Child,
    reaped: Option<(ExitStatus, Counters)>,
    roster: Arc<Mutex<Roster>>,
}

impl Child {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Its standard output, once.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.process.stdout.take()
    }

    /// Sends SIGKILL to the process and all that it started.
    pub fn kill(&self) {
        if self.reaped.is_none() {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        }
    }

    /// Waits for its end and accounts for what it used.
    pub fn reap(&mut self) -> (ExitStatus, Counters) {
        if let Some(reaped) = self.reaped {
            return reaped;
        }
        let pid = self.pid();
        // Its I/O counters can still be read between its end and its reaping.
        while let Err(nix::errno::Errno::EINTR) =
            waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        {}
        let mut counters = Counters::default();
        counters.take_io(pid);
        let (status, usage) = wait4(pid);
        counters.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        counters.memory_bytes_max = usage.ru_maxrss as u64 * 1024;
        let mut roster = self.roster.lock().expect("nobody panics while holding the roster");
        roster.running.retain(|(_, running)| *running != pid);
        roster.ended.push((self.account, counters));
        self.reaped = Some((status, counters));
        (status, counters)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        self.reap();
    }
}

fn wait4(pid: i32) -> (ExitStatus, libc::rusage) {
    let mut status = 0;
    // SAFETY: rusage is plain old data, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right types.
    while unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } < 0 {
        let error = std::io::Error::last_os_error();
        // A status of 0 would stand for success.
        assert!(error.kind() == std::io::ErrorKind::Interrupted, "cannot wait for process {pid}: {error}");
    }
    (ExitStatus::from_raw(status), usage)
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// Children that work together (a pipeline, or a single worker) until all have ended.
pub struct Group {
    children: Vec<Child>,
    receiver: Receiver<Output>,
    open: usize,
    lines: Vec<String>,
}

/// How a group ended.
pub struct Ended {
    /// Name and exit status of each child.
    pub children: Vec<(String, ExitStatus)>,
    /// The worker's answer, where one was a worker.
    pub answer: Option<Result<serde_json::Value, String>>,
    /// The last lines that were printed.
    pub output: String,
}

impl Group {
    /// Listens to what the children print: piped output only, so a child's standard output may as well go to
    /// its neighbour or to a file.
    pub fn new(mut children: Vec<Child>) -> Group {
        let (sender, receiver) = channel();
        let mut open = 0;
        for child in &mut children {
            if let Some(stdout) = child.process.stdout.take() {
                open += 1;
                listen(stdout, child.is_worker, sender.clone());
            }
            if let Some(stderr) = child.process.stderr.take() {
                open += 1;
                listen(stderr, false, sender.clone());
            }
        }
        Group { children, receiver, open, lines: Vec::new() }
    }

    /// Waits until all have ended. `on_event` is called with each progress, and at least every [`TICK`] with
    /// none; its error ends the children.
    ///
    /// # Errors
    /// What `on_event` returned. The children are dead then.
    pub fn wait<E>(
        &mut self,
        mut on_event: impl FnMut(Option<crate::worker::Progress>) -> Result<(), E>,
    ) -> Result<Ended, E> {
        let mut answer = None;
        let outcome = loop {
            if self.open == 0 {
                break Ok(());
            }
            let event = match self.receiver.recv_timeout(TICK) {
                Ok(Output::Message(Message::Progress(progress))) => on_event(Some(progress)),
                Ok(Output::Message(Message::Ready(_))) => Ok(()),
                Ok(Output::Message(Message::Done(value))) => {
                    answer = Some(Ok(value));
                    Ok(())
                }
                Ok(Output::Message(Message::Error(message))) => {
                    answer = Some(Err(message));
                    Ok(())
                }
                Ok(Output::Line(line)) => {
                    keep(&mut self.lines, line);
                    Ok(())
                }
                Ok(Output::Closed) => {
                    self.open -= 1;
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => on_event(None),
            };
            if event.is_err() {
                break event;
            }
        };
        if outcome.is_err() {
            self.children.iter().for_each(Child::kill);
        }
        let children = self.children.iter_mut().map(|child| {
            let (status, _) = child.reap();
            (child.name.clone(), status)
        });
        let ended = Ended { children: children.collect(), answer, output: self.output() };
        outcome.map(|()| ended)
    }

    /// Waits until a worker says that it serves.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Environment`] when it ends or `timeout` passes before it serves.
    pub fn wait_ready(&mut self, cancel: &Cancel, timeout: Duration) -> Result<()> {
        let give_up = Instant::now() + timeout;
        let mut said = Vec::new();
        loop {
            cancel.check()?;
            match self.receiver.recv_timeout(TICK) {
                Ok(Output::Message(Message::Ready(_))) => return Ok(()),
                Ok(Output::Message(Message::Error(message))) => return Err(Error::Environment(message)),
                Ok(Output::Line(line)) => said.push(line),
                Ok(Output::Closed) => {
                    self.open -= 1;
                    if self.open == 0 {
                        return Err(self.never_served(&said));
                    }
                }
                Ok(Output::Message(_)) | Err(_) => {}
            }
            if Instant::now() > give_up {
                let seconds = timeout.as_secs();
                return Err(Error::Environment(format!(
                    "the {} did not serve within {seconds} s",
                    self.children[0].name
                )));
            }
        }
    }

    fn never_served(&mut self, said: &[String]) -> Error {
        let child = &mut self.children[0];
        let (status, _) = child.reap();
        Error::Environment(format!(
            "the {} ended with {status} before it served: {}",
            child.name,
            said.join("\n")
        ))
    }

    /// The last lines that were printed so far.
    pub fn output(&self) -> String {
        self.lines.join("\n")
    }

    /// True when a child has ended.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        self.children.iter().any(|child| {
            child.reaped.is_some()
                || !matches!(
                    waitid(Id::Pid(Pid::from_raw(child.pid())), flags),
                    Ok(nix::sys::wait::WaitStatus::StillAlive)
                )
        })
    }

    /// Sends SIGKILL to all children and waits for their end.
    pub fn kill(&mut self) {
        self.children.iter().for_each(Child::kill);
        self.children.iter_mut().for_each(|child| {
            child.reap();
        });
    }

    /// What the children have used so far with all that they started, ended ones included. Of a pipeline, bytes are read
    /// by its first and written by its last stage: what flows between them is no input or output.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        let (mut bytes_read, mut bytes_written) = (None, 0);
        for child in &self.children {
            let counters =
                child.reaped.map(|(_, counters)| counters).or_else(|| Counters::of_tree(child.pid()));
            let counters = counters.unwrap_or_default();
            sum.add(&counters);
            bytes_read.get_or_insert(counters.bytes_read);
            bytes_written = counters.bytes_written;
        }
        Counters { bytes_read: bytes_read.unwrap_or(0), bytes_written, ..sum }
    }
}

impl Ended {
    /// The worker's answer; for commands, null when all were successful.
    ///
    /// # Errors
    /// The first child that failed: its name, how it ended, and what it said.
    pub fn result(self) -> Result<serde_json::Value, String> {
        if let Some(Err(message)) = self.answer {
            return Err(message);
        }
        for (name, status) in &self.children {
            if !status.success() {
                let said = if self.output.is_empty() { String::new() } else { format!(": {}", self.output) };
                return Err(format!("'{name}' ended with {status}{said}"));
            }
        }
        Ok(self.answer.and_then(Result::ok).unwrap_or_default())
    }
}

/// Kills every process that carries the mark of `work_directory` or of a directory in it, and counts them.
pub fn kill_marked(work_directory: &Path) -> usize {
    let mark = format!("{MARK}={}", work_directory.display());
    let Ok(processes) = procfs::process::all_processes() else {
        return 0;
    };
    let mut killed = 0;
    for process in processes.flatten().filter(|process| process.pid() != getpid().as_raw()) {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid())).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| is_marked(entry, mark.as_bytes())) {
            // It may have ended since.
            killed += usize::from(kill(Pid::from_raw(process.pid()), Signal::SIGKILL).is_ok());
        }
    }
    killed
}

fn is_marked(entry: &[u8], mark: &[u8]) -> bool {
    entry.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
