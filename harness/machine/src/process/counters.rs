//! The resources that processes use: read from `/proc` while they run, and exact after they have ended.

use std::ffi::OsString;
use std::fs::File;

use serde::{Deserialize, Serialize};

use super::limited_group::LimitedGroup;

/// The account on which the resources of a process are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The application with its database.
    Subject,
    /// The strategy, in backup and restore.
    Strategy,
    /// The stages between backup and disaster, and back.
    Stage,
    /// The harness: its verifier.
    Harness,
    /// Preparation of the machine, and its calibration: not part of a trial's measurements.
    Preparation,
}

/// The resources that a process used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    /// Peak resident memory in bytes (in a sum: of the largest process); `None` when unknown.
    pub memory_bytes_max: Option<u64>,
    /// Bytes read and written; `None` when unknown.
    pub io: Option<Io>,
}

impl Default for Counters {
    /// The counters of a process that has used nothing yet.
    fn default() -> Counters {
        Counters { cpu_seconds: 0.0, memory_bytes_max: None, io: Some(Io::default()) }
    }
}

/// The bytes that a process read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    /// Bytes read by system calls, page cache included.
    pub bytes_read: u64,
    /// Bytes written by system calls.
    pub bytes_written: u64,
    /// Bytes read from the disk.
    pub disk_bytes_read: u64,
    /// Bytes written to the disk, except writes that were cancelled in the page cache.
    pub disk_bytes_written: u64,
}

impl Counters {
    /// Counters that could not be read. A sum with them is unknown, too.
    pub const UNKNOWN: Counters = Counters { cpu_seconds: 0.0, memory_bytes_max: None, io: None };

    /// Adds the resources that another process used.
    pub fn add(&mut self, other: &Counters) {
        self.cpu_seconds += other.cpu_seconds;
        self.memory_bytes_max = self.memory_bytes_max.max(other.memory_bytes_max);
        self.io = self.io.zip(other.io).map(|(io, other)| io.combine(&other, u64::saturating_add));
    }

    /// The resources used since an earlier reading of the same processes. The peak memory is that of the later reading.
    pub fn since(&self, earlier: &Counters) -> Counters {
        Counters {
            cpu_seconds: (self.cpu_seconds - earlier.cpu_seconds).max(0.0),
            memory_bytes_max: self.memory_bytes_max,
            io: self.io.zip(earlier.io).map(|(io, earlier)| io.combine(&earlier, u64::saturating_sub)),
        }
    }

    /// The resources that the running process `pid` has used so far; `None` when it is gone.
    pub fn of(pid: i32) -> Option<Counters> {
        let process = procfs::process::Process::new(pid).ok()?;
        let stat = process.stat().ok()?;
        let status = process.status().ok()?;
        Some(Counters {
            cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            memory_bytes_max: status.vmhwm.map(|kib| kib * 1024),
            io: Io::of(pid),
        })
    }

    /// The resources that the running process `pid` and its descendants have used so far, including reaped children;
    /// `None` when it is gone. The peak memory of children that have ended is not included.
    pub fn of_tree(pid: i32) -> Option<Counters> {
        let mut sum = Counters::of(pid)?;
        if let Ok(stat) = procfs::process::Process::new(pid).and_then(|process| process.stat()) {
            let reaped = (stat.cutime + stat.cstime).max(0);
            sum.cpu_seconds += reaped as f64 / procfs::ticks_per_second() as f64;
        }
        children(pid).into_iter().filter_map(Counters::of_tree).for_each(|child| sum.add(&child));
        Some(sum)
    }
}

impl Io {
    /// The bytes that a process, running or not yet reaped, has read and written so far, including the children that it
    /// has reaped; `None` when it is gone, or this user may not inspect it.
    pub(super) fn of(pid: i32) -> Option<Io> {
        let io = procfs::process::Process::new(pid).and_then(|process| process.io()).ok()?;
        Some(Io {
            bytes_read: io.rchar,
            bytes_written: io.wchar,
            disk_bytes_read: io.read_bytes,
            disk_bytes_written: io.write_bytes.saturating_sub(io.cancelled_write_bytes),
        })
    }

    fn combine(&self, other: &Io, each: fn(u64, u64) -> u64) -> Io {
        Io {
            bytes_read: each(self.bytes_read, other.bytes_read),
            bytes_written: each(self.bytes_written, other.bytes_written),
            disk_bytes_read: each(self.disk_bytes_read, other.disk_bytes_read),
            disk_bytes_written: each(self.disk_bytes_written, other.disk_bytes_written),
        }
    }
}

/// Anonymous memory of a running process now, in bytes: without mapped files, which are page cache. `None` when it is
/// gone.
pub fn anonymous_bytes(pid: i32) -> Option<u64> {
    let status = procfs::process::Process::new(pid).and_then(|process| process.status()).ok()?;
    Some((status.rssanon? + status.rssshmem.unwrap_or(0)) * 1024)
}

/// The running processes, for the sampler, and the resources of those that have ended.
#[derive(Default)]
pub struct ProcessRegistry {
    pub(super) running: Vec<(Account, i32)>,
    /// The main processes of containers, which are not children of the harness.
    contained: Vec<(Account, i32)>,
    /// Largest observed anonymous memory of one process of a container, in bytes.
    contained_memory: Vec<(Account, u64)>,
    /// The resources of children that were reaped.
    pub(super) reaped: Vec<(Account, Counters)>,
    /// The resources of containers that have ended.
    contained_ended: Vec<(Account, Counters)>,
    /// The group with limits that the new processes of an account are added to.
    confined: Option<(Account, LimitedGroup)>,
    /// Environment variables of the new processes of an account.
    environment: Option<(Account, Vec<(String, OsString)>)>,
}

impl ProcessRegistry {
    /// Ids of the running processes on an account.
    pub fn running(&self, account: Account) -> Vec<i32> {
        let of_account = |list: &[(Account, i32)]| -> Vec<i32> {
            list.iter().filter(|(of, _)| *of == account).map(|(_, pid)| *pid).collect()
        };
        let contained = of_account(&self.contained).into_iter().flat_map(with_descendants);
        of_account(&self.running).into_iter().chain(contained).collect()
    }

    /// Adds all processes and containers that an account starts from now on to a group with limits, or no longer. Returns
    /// the group to which they were added before.
    pub fn confine(&mut self, account: Account, group: Option<LimitedGroup>) -> Option<LimitedGroup> {
        let group = group.map(|group| (account, group));
        std::mem::replace(&mut self.confined, group).map(|(_, group)| group)
    }

    /// Gives all processes that an account starts from now on these environment variables in addition; none: no longer.
    pub fn set_environment(&mut self, account: Account, variables: Vec<(String, OsString)>) {
        self.environment = Some((account, variables)).filter(|(_, variables)| !variables.is_empty());
    }

    /// The variables that were set last for this account.
    pub(super) fn environment(&self, account: Account) -> Vec<(String, OsString)> {
        let environment = self.environment.iter().filter(|(of, _)| *of == account);
        environment.flat_map(|(_, variables)| variables.clone()).collect()
    }

    fn group(&self, account: Account) -> Option<&LimitedGroup> {
        self.confined.as_ref().filter(|(of, _)| *of == account).map(|(_, group)| group)
    }

    /// As [`LimitedGroup::entrances`], of the group of an account.
    ///
    /// # Errors
    /// As there.
    pub(super) fn entrances(&self, account: Account) -> std::io::Result<Vec<File>> {
        self.group(account).map_or(Ok(Vec::new()), LimitedGroup::entrances)
    }

    /// The process `pid` is running.
    pub(super) fn enter(&mut self, account: Account, pid: i32) {
        self.running.push((account, pid));
    }

    /// A container with the main process `pid` is running.
    pub(crate) fn enter_container(&mut self, account: Account, pid: i32) {
        if let Some(group) = self.group(account) {
            group.add(pid);
        }
        self.contained.push((account, pid));
    }

    /// The container with the main process `pid` (if known) has ended.
    pub(crate) fn leave_container(&mut self, account: Account, pid: Option<i32>, used: Option<Counters>) {
        self.contained.retain(|(_, running)| Some(*running) != pid);
        self.contained_ended.extend(used.map(|used| (account, used)));
    }

    /// The main processes of the running containers.
    pub fn containers(&self) -> Vec<(Account, i32)> {
        self.contained.clone()
    }

    /// Records the observed anonymous memory of a process of a container.
    pub fn note_memory(&mut self, account: Account, bytes: u64) {
        match self.contained_memory.iter_mut().find(|(of, _)| *of == account) {
            Some((_, most)) => *most = bytes.max(*most),
            None => self.contained_memory.push((account, bytes)),
        }
    }

    /// The resources of the ended processes of an account; `None` when it had none.
    pub fn used(&self, account: Account) -> Option<Counters> {
        let mut sum = sum_of(self.reaped.iter().chain(&self.contained_ended), account)?;
        let seen = self.contained_memory.iter().find(|(of, _)| *of == account);
        sum.memory_bytes_max = sum.memory_bytes_max.max(seen.map(|(_, bytes)| *bytes));
        Some(sum)
    }

    /// Number of children that have ended.
    pub fn reaped_count(&self) -> usize {
        self.reaped.len()
    }

    /// The resources of the children of an account that ended after [`ProcessRegistry::reaped_count`] was `count`; `None`
    /// when there were none.
    pub fn reaped_since(&self, count: usize, account: Account) -> Option<Counters> {
        sum_of(self.reaped.iter().skip(count), account)
    }

    /// The resources of the reaped children of an account: the kernel adds their I/O to the harness's own.
    pub fn used_by_children(&self, account: Account) -> Counters {
        sum_of(self.reaped.iter(), account).unwrap_or_default()
    }
}

fn sum_of<'a>(all: impl Iterator<Item = &'a (Account, Counters)>, account: Account) -> Option<Counters> {
    let mut sum = None;
    for (_, counters) in all.filter(|(of, _)| *of == account) {
        sum.get_or_insert_with(Counters::default).add(counters);
    }
    sum
}

/// Largest anonymous memory of one process now, in bytes, in the container with the main process `pid`.
pub fn anonymous_bytes_of_tree(pid: i32) -> Option<u64> {
    with_descendants(pid).into_iter().filter_map(anonymous_bytes).max()
}

/// The running children of `pid`.
fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = procfs::process::Process::new(pid).and_then(|process| process.tasks()) else {
        return Vec::new();
    };
    let of_tasks = tasks.flatten().filter_map(|task| task.children().ok());
    of_tasks.flatten().map(|child| child as i32).collect()
}

/// A process and its running descendants.
pub(super) fn with_descendants(pid: i32) -> Vec<i32> {
    let below = children(pid).into_iter().flat_map(with_descendants);
    std::iter::once(pid).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(memory_bytes_max: Option<u64>, bytes: u64) -> Counters {
        let io = Io { bytes_read: bytes, disk_bytes_written: bytes, ..Io::default() };
        Counters { cpu_seconds: 1.0, memory_bytes_max, io: Some(io) }
    }

    #[test]
    fn unreadable_counters_are_unknown_and_never_0() {
        let mut sum = Counters::default();
        assert_eq!((sum.memory_bytes_max, sum.io), (None, Some(Io::default())));
        sum.add(&counters(None, 10));
        sum.add(&counters(Some(7), 5));
        sum.add(&counters(Some(3), 0));
        assert_eq!((sum.cpu_seconds, sum.memory_bytes_max), (3.0, Some(7)));
        assert_eq!(sum.io.unwrap().bytes_read, 15);
        assert_eq!(sum.since(&counters(None, 6)).io.unwrap().disk_bytes_written, 9);
        sum.add(&Counters::UNKNOWN);
        assert_eq!((sum.memory_bytes_max, sum.io), (Some(7), None));
        assert_eq!(Counters::of(-1), None);
    }

    #[test]
    fn memory_of_containers_is_the_observed_maximum_and_their_io_is_not_the_harnesss() {
        let mut processes = ProcessRegistry::default();
        processes.enter_container(Account::Strategy, 1);
        assert_eq!(processes.containers(), [(Account::Strategy, 1)]);
        for bytes in [5, 9, 2] {
            processes.note_memory(Account::Strategy, bytes);
        }
        assert_eq!(processes.used(Account::Strategy), None, "it has not ended");
        processes.leave_container(Account::Strategy, Some(1), Some(counters(None, 100)));
        processes.reaped.push((Account::Strategy, counters(Some(4), 1)));
        let used = processes.used(Account::Strategy).unwrap();
        assert_eq!((used.memory_bytes_max, used.io.unwrap().bytes_read), (Some(9), 101));
        assert_eq!(processes.used_by_children(Account::Strategy).io.unwrap().bytes_read, 1);
        assert_eq!(processes.used(Account::Subject), None);
    }

    #[test]
    fn a_mapped_file_is_not_anonymous_memory() {
        const MAPPED: u64 = 64 << 20;
        let file = tempfile::tempfile().unwrap();
        file.set_len(MAPPED).unwrap();
        // SAFETY: nobody else has the file.
        let mut mapped = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
        mapped.chunks_mut(4096).for_each(|page| page[0] = 1);
        let own = std::process::id() as i32;
        let resident = Counters::of(own).unwrap().memory_bytes_max.unwrap();
        let anonymous = anonymous_bytes_of_tree(own).unwrap();
        assert!(resident >= anonymous + MAPPED / 2, "{resident} {anonymous}");
    }
}
