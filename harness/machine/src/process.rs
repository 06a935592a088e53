//! Child processes: measured exactly, and always killed.
//!
//! Every child is the leader of its own process group, is killed when the harness dies (`PR_SET_PDEATHSIG`), and
//! carries [`MARK`] in its environment, by which the next start finds processes that a killed harness left behind.

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

/// The user's request to stop, which every wait checks.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks everything to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True after [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Interrupted`] after [`Cancel::cancel`] was called.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sleeps until `until`, or until the user asks to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after [`Cancel::cancel`] was called.
    pub fn sleep_until(&self, until: Instant) -> Result<()> {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.check()?;
            std::thread::sleep(left.min(TICK));
        }
        self.check()
    }
}

/// Tells the threads of a scope to stop when the code that started them ends, also by an early return or a panic.
/// Without it, the scope would wait forever for threads that run until they are told to stop.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Restores the default action of `SIGCHLD`. If it is inherited as ignored, the kernel reaps children before the
/// harness can read their resource usage. Call this once, at the start of the program.
pub fn expect_children() {
    // SAFETY: the default disposition runs no signal handler.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }
        .expect("the default disposition is valid for SIGCHLD");
}

/// Restores the default action of `SIGPIPE`: this program ends without a message when the reader of its output closes
/// the pipe. Only for commands that have nothing to clean up.
pub fn end_with_the_reader() {
    // SAFETY: the default disposition runs no signal handler.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) }
        .expect("the default disposition is valid for SIGPIPE");
}

/// How often waits check for cancellation, deadline and stall. No measurement depends on it: the end of a process wakes
/// its waiter at once.
pub const TICK: Duration = Duration::from_millis(50);

/// Starts the children of one trial.
#[derive(Clone)]
pub struct Launcher {
    /// Checked at every wait.
    pub cancel: Cancel,
    work_directory: PathBuf,
    roster: Arc<Mutex<Roster>>,
}

impl Launcher {
    /// A launcher with an empty roster; children are marked with `work_directory`.
    pub fn new(work_directory: &Path, cancel: &Cancel) -> Launcher {
        Launcher { cancel: cancel.clone(), work_directory: work_directory.to_owned(), roster: Arc::default() }
    }

    /// The directory with which children are marked. Temporary files belong in it.
    pub fn work_directory(&self) -> &Path {
        &self.work_directory
    }

    /// The processes of this launcher.
    pub fn roster(&self) -> std::sync::MutexGuard<'_, Roster> {
        self.roster.lock().expect("no thread panics while holding the roster")
    }

    /// Sends SIGKILL to every process on an account and to its child processes, one right after the other. A process
    /// that this user may not kill (a container of another user) must be killed by the code that started it.
    pub fn kill_all(&self, account: Account) {
        for pid in self.roster().running(account).into_iter().map(Pid::from_raw) {
            // The whole process group; a process of a container need not be the leader of its group.
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

    /// Starts a worker: this same program, which does one job in a separate process.
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
        // A worker that dies before it reads its job is reported by the wait for it, with its output.
        let _ = stdin.write_all(&line);
        Ok((child, stdin))
    }

    /// Lets a worker do one job and waits for the result.
    ///
    /// # Errors
    /// [`Error::Interrupted`], or the error that the worker reports; a crash of the worker is reported with its signal.
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
        Ok(serde_json::from_value(value)
            .context("a worker's answer does not have the type that its job requires")?)
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
    /// True when the program itself is the cause (missing or not executable), and not the state of the machine.
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
    /// Its name in messages.
    pub name: String,
    /// It sends messages on its standard output. The output of any other program is never parsed as messages.
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

    /// Sends SIGKILL to the process and its process group.
    pub fn kill(&self) {
        if self.reaped.is_none() {
            // An error is ignored: it may have ended already.
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        }
    }

    /// True when it has ended. Its resource usage can still be read.
    fn has_ended(&self) -> bool {
        let state = || waitid(Id::Pid(Pid::from_raw(self.pid())), group::END_FLAGS);
        self.reaped.is_some() || !matches!(state(), Ok(WaitStatus::StillAlive))
    }

    /// Waits for its end and adds the resources that it used to its account.
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
        let mut roster = self.roster.lock().expect("no thread panics while holding the roster");
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
        // Returning a status of 0 would mean success.
        assert!(error.kind() == std::io::ErrorKind::Interrupted, "cannot wait for process {pid}: {error}");
    }
    (ExitStatus::from_raw(status), usage)
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// Kills every process that carries the mark of `work_directory` or of a directory in it. Returns their number.
pub fn kill_marked(work_directory: &Path) -> usize {
    let mark = format!("{MARK}={}", work_directory.display());
    let Ok(processes) = procfs::process::all_processes() else {
        return 0;
    };
    let mut killed = 0;
    for process in processes.flatten().filter(|process| process.pid() != getpid().as_raw()) {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid())).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| is_marked(entry, mark.as_bytes())) {
            // It may have ended meanwhile.
            killed += usize::from(kill(Pid::from_raw(process.pid()), Signal::SIGKILL).is_ok());
        }
    }
    killed
}

fn is_marked(entry: &[u8], mark: &[u8]) -> bool {
    entry.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
