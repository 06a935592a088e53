//! The main process of a container, as the host sees it: its end is known at once, and it can be killed without
//! asking Docker.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::{Counters, anonymous_bytes_of_tree};

pub(super) struct HostProcess {
    pub pid: i32,
    descriptor: OwnedFd,
}

impl HostProcess {
    /// The process that Docker says is the main one of `container`. `None` when it has ended, or runs where this
    /// machine does not see it (Docker in a virtual machine): the process id is another process' then.
    pub fn find(pid: i64, container: &str) -> Option<HostProcess> {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        // SAFETY: the call takes two integers and returns a new descriptor or -1.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0)?;
        // SAFETY: the descriptor was just made and is nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // Asked after the descriptor was made, so the answer is about the process that it stands for.
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.contains(container).then_some(HostProcess { pid, descriptor })
    }

    /// Waits for its end for at most `timeout`; true when it has ended.
    pub fn has_ended(&self, timeout: Duration) -> bool {
        let mut descriptor =
            libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one live pollfd.
        unsafe { libc::poll(&mut descriptor, 1, timeout.as_millis() as i32) > 0 }
    }

    /// False when this user may not.
    pub fn signal(&self, signal: Signal) -> bool {
        let information = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null pointer stands for what kill(2) would send.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.descriptor.as_raw_fd(),
                signal as i32,
                information,
                0,
            )
        };
        sent == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    }

    /// What the processes of the container have used so far, without their peak memory: the kernel's counts the files
    /// that they map, too.
    pub fn counters(&self) -> Option<Counters> {
        let counters = Counters { memory_bytes_max: None, ..Counters::of_tree(self.pid)? };
        self.unless_ended(counters)
    }

    /// The most anonymous memory that a process of the container has now.
    pub fn anonymous_bytes(&self) -> Option<u64> {
        self.unless_ended(anonymous_bytes_of_tree(self.pid)?)
    }

    /// An end in between would leave what was read of another process under the same id.
    fn unless_ended<T>(&self, read: T) -> Option<T> {
        (!self.has_ended(Duration::ZERO)).then_some(read)
    }
}
