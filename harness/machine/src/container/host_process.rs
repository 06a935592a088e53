//! The main process of a container, as seen on the host: its end is noticed immediately, and it can be killed without
//! Docker.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::Signal;

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
        // SAFETY: the call takes two integers and returns a new descriptor or -1.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0)?;
        // SAFETY: the descriptor was just created and has no other owner.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // Read after the descriptor was created, so that it is certainly about the same process.
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

    /// False when this user has no permission.
    pub fn signal(&self, signal: Signal) -> bool {
        let information = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: with a null pointer, the call sends the same as kill(2).
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
