//! Child processes: measured exactly, killed for certain.
//!
//! Every child is the leader of a process group of its own, dies with the harness (`PR_SET_PDEATHSIG`), and
//! carries [`MARK`] in its environment, by which the next start finds whatever a killed harness left behind.

mod counters;
mod group;
mod output;
mod start;
mod written;

use std::io::{ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid, getppid};

use crate::error::{Error, Result};
use crate::worker::{Job, line_for};
pub use counters::{Account, Counters, Io, Roster, anonymous_bytes, anonymous_bytes_of_tree};
pub use group::{Ended, Group, Unsuccessful};
pub use output::last_lines;
pub use start::{is_mounted_noexec, on_path, why_not_started};
pub use written::{WrittenFile, bytes_written, files_in, open_for_writing};

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

/// Tells the threads of a scope to stop when whoever started them leaves, be it early or by a panic: the scope waits for
/// them, and they for this.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
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
    /// When the program cannot be started.
    pub fn spawn(&self, account: Account, mut command: Command) -> Result<Child, Unstarted> {
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
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => return Err(Unstarted { program, name, error }),
        };
        self.roster().running.push((account, process.id() as i32));
        let roster = self.roster.clone();
        Ok(Child { name, is_worker: false, account, process, reaped: None, roster })
    }

    /// Starts a worker: this same program, doing one job in a process of its own.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be started.
    pub fn worker<J: Job>(&self, account: Account, job: &J) -> Result<(Child, ChildStdin)> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(crate::worker::ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.spawn(account, command)?;
        child.name = job.title();
        child.is_worker = true;
        let mut stdin = child.process.stdin.take().expect("stdin is piped");
        let line = line_for(job).context("a job is plain data")?;
        // A worker that dies before it reads its job is reported by the wait for it, with what it printed.
        let _ = stdin.write_all(&line);
        Ok((child, stdin))
    }

    /// Lets a worker do one job and waits for the result.
    ///
    /// # Errors
    /// [`Error::Interrupted`], or what the worker reports; a worker that crashes is reported with its signal.
    pub fn work<J: Job>(
        &self,
        account: Account,
        job: &J,
        on_progress: &mut dyn FnMut(crate::worker::Progress),
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
        Ok(serde_json::from_value(value).context("a worker's answer has the shape that its job says")?)
    }
}

/// Why a program could not be started.
#[derive(Debug)]
pub struct Unstarted {
    program: PathBuf,
    name: String,
    error: std::io::Error,
}

impl Unstarted {
    /// True when the program is what cannot be executed, whatever the state of the machine.
    pub fn is_the_programs(&self) -> bool {
        matches!(self.error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
    }
}

impl std::fmt::Display for Unstarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot start '{}': {}", self.name, why_not_started(&self.program, &self.error))
    }
}

impl From<Unstarted> for Error {
    fn from(unstarted: Unstarted) -> Error {
        Error::Environment(unstarted.to_string())
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

    /// True when it has ended; what it used is still to be read.
    fn has_ended(&self) -> bool {
        let state = || waitid(Id::Pid(Pid::from_raw(self.pid())), group::END_FLAGS);
        self.reaped.is_some() || !matches!(state(), Ok(WaitStatus::StillAlive))
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
        let io = Io::of(pid);
        let (status, usage) = wait4(pid);
        let cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        let counters = Counters { cpu_seconds, memory_bytes_max: Some(usage.ru_maxrss as u64 * 1024), io };
        let mut roster = self.roster.lock().expect("nobody panics while holding the roster");
        roster.running.retain(|(_, running)| *running != pid);
        roster.reaped.push((self.account, counters));
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
