//! The main process of a container, as seen on the host: its end is noticed immediately, and it can be killed without
//! Docker.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::process::{Counters, anonymous_bytes_of_tree};

pub(super) struct HostProcess {
    pub pid: i32,
    descriptor: OwnedFd,
}

impl HostProcess {
    /// The process that Docker reports as the main one of `container`. `None` when it has ended, or is not visible on
    /// this machine (Docker in a virtual machine): then the process id belongs to another process.
    pub fn find(pid: i64, container: &str) -> Option<HostProcess> {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // Read after the descriptor was created, so that it is certainly about the same process.
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.contains(container).then_some(HostProcess { pid, descriptor })
    }

    /// Waits for its end for at most `timeout`; true when it has ended.
    pub fn has_ended(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).expect("a timeout is less than centuries");
        let mut watched = [PollFd::new(&self.descriptor, PollFlags::IN)];
        poll(&mut watched, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }

    /// False when this user has no permission.
    pub fn signal(&self, signal: Signal) -> bool {
        let signal = rustix::process::Signal::from_named_raw(signal as i32).expect("it has a name");
        let sent = pidfd_send_signal(&self.descriptor, signal);
        matches!(sent, Ok(()) | Err(Errno::SRCH))
    }

    /// The resources that the processes of the container have used so far, without their peak memory: the kernel's
    /// value includes mapped files.
    pub fn counters(&self) -> Option<Counters> {
        let counters = Counters { memory_bytes_max: None, ..Counters::of_tree(self.pid)? };
        self.unless_ended(counters)
    }

    /// The largest amount of anonymous memory, in bytes, that one process of the container has now.
    pub fn anonymous_bytes(&self) -> Option<u64> {
        self.unless_ended(anonymous_bytes_of_tree(self.pid)?)
    }

    /// `None` if the process has ended meanwhile: then the reading may be of another process with the same id.
    fn unless_ended<T>(&self, read: T) -> Option<T> {
        (!self.has_ended(Duration::ZERO)).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_end_of_a_process_is_noticed_and_a_process_that_has_ended_cannot_be_mistaken() {
        assert!(HostProcess::find(0, "").is_none() && HostProcess::find(i64::MAX, "").is_none());
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i64::from(child.id());
        assert!(HostProcess::find(pid, "no such container").is_none(), "it is not in this control group");
        let process = HostProcess::find(pid, "").unwrap();
        assert!(!process.has_ended(Duration::from_millis(1)) && process.counters().is_some());
        assert!(process.signal(Signal::SIGTERM));
        assert!(process.has_ended(Duration::from_secs(60)) && process.counters().is_none());
        child.wait().unwrap();
        assert!(process.signal(Signal::SIGKILL), "nothing is left to signal");
        assert!(process.has_ended(Duration::ZERO));
    }
}
