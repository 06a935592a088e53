//! One running child process: killed with its process group, and reaped together with the resources that it used.

use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::counters::{Account, Counters, Io, ProcessRegistry};

/// Checks without waiting whether a child has ended, and does not reap it.
const END_FLAGS: WaitPidFlag = WaitPidFlag::WEXITED.union(WaitPidFlag::WNOWAIT).union(WaitPidFlag::WNOHANG);

/// A running child. Dropping it kills its whole process group and waits for its end.
pub struct Child {
    /// Its name in messages.
    pub name: String,
    /// It sends messages on its standard output. The output of any other program is never parsed as messages.
    pub(super) is_worker: bool,
    account: Account,
    process: std::process::Child,
    reaped: Option<(ExitStatus, Counters)>,
    processes: Arc<Mutex<ProcessRegistry>>,
}

impl Child {
    /// A process that was just started. It is in the registry until it is reaped.
    pub(super) fn new(
        name: String,
        account: Account,
        process: std::process::Child,
        processes: Arc<Mutex<ProcessRegistry>>,
    ) -> Child {
        let child = Child { name, is_worker: false, account, process, reaped: None, processes };
        child.processes().enter(account, child.pid());
        child
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Its standard output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Its standard error, once.
    pub(super) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.process.stderr.take()
    }

    /// Its standard input, once.
    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Sends SIGKILL to the process and its process group.
    pub fn kill(&self) {
        if self.reaped.is_none() {
            // An error is ignored: it may have ended already.
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        }
    }

    /// True when it has ended. Its resource usage can still be read.
    pub(super) fn has_ended(&self) -> bool {
        self.reaped.is_some() || !matches!(self.state(), Ok(WaitStatus::StillAlive))
    }

    /// Its state, without waiting. It must not have been reaped.
    pub(super) fn state(&self) -> nix::Result<WaitStatus> {
        waitid(Id::Pid(Pid::from_raw(self.pid())), END_FLAGS)
    }

    /// The resources that it and its descendants have used so far; `None` when it is gone.
    pub(super) fn counters(&self) -> Option<Counters> {
        self.reaped.map(|(_, counters)| counters).or_else(|| Counters::of_tree(self.pid()))
    }

    fn processes(&self) -> MutexGuard<'_, ProcessRegistry> {
        self.processes.lock().expect("no thread panics while it holds this lock")
    }

    /// Waits for its end and adds the resources that it used to its account.
    pub fn reap(&mut self) -> (ExitStatus, Counters) {
        if let Some(reaped) = self.reaped {
            return reaped;
        }
        let pid = self.pid();
        // Its I/O counters can still be read between its end and its reaping.
        while let Err(Errno::EINTR) =
            waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        {}
        let io = Io::of(pid);
        let (status, usage) = wait4(pid);
        let cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        let counters = Counters { cpu_seconds, memory_bytes_max: Some(usage.ru_maxrss as u64 * 1024), io };
        let mut processes = self.processes();
        processes.running.retain(|(_, running)| *running != pid);
        processes.reaped.push((self.account, counters));
        drop(processes);
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
