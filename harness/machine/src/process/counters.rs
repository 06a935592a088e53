//! What processes use: while they run from `/proc`, and exactly once they have ended.

use serde::{Deserialize, Serialize};

/// Whose account a process is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The application with its database.
    Subject,
    /// The strategy, in backup and restore.
    Strategy,
    /// The harness: its verifier.
    Harness,
    /// What brings the machine into a known state, and measures what it can do: on nobody's account.
    Preparation,
}

/// What a process used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Peak resident memory (of the largest process, when added up); `None` where nobody knows.
    pub memory_bytes_max: Option<u64>,
    /// What it read and wrote; `None` where nobody knows.
    pub io: Option<Io>,
}

impl Default for Counters {
    /// Of a process that has used nothing yet.
    fn default() -> Counters {
        Counters { cpu_seconds: 0.0, memory_bytes_max: None, io: Some(Io::default()) }
    }
}

/// What a process read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    /// Bytes read by system calls, page cache included.
    pub bytes_read: u64,
    /// Bytes written by system calls.
    pub bytes_written: u64,
    /// Bytes that the disk was asked for.
    pub disk_bytes_read: u64,
    /// Bytes that were sent towards the disk.
    pub disk_bytes_written: u64,
}

impl Counters {
    /// What nobody could read is not known, and neither is a sum with it.
    pub const UNKNOWN: Counters = Counters { cpu_seconds: 0.0, memory_bytes_max: None, io: None };

    /// Adds what another process used.
    pub fn add(&mut self, other: &Counters) {
        self.cpu_seconds += other.cpu_seconds;
        self.memory_bytes_max = self.memory_bytes_max.max(other.memory_bytes_max);
        self.io = self.io.zip(other.io).map(|(io, other)| io.combine(&other, u64::saturating_add));
    }

    /// What was used since an earlier reading of the same processes; the peak of the memory is that of now.
    pub fn since(&self, earlier: &Counters) -> Counters {
        Counters {
            cpu_seconds: (self.cpu_seconds - earlier.cpu_seconds).max(0.0),
            memory_bytes_max: self.memory_bytes_max,
            io: self.io.zip(earlier.io).map(|(io, earlier)| io.combine(&earlier, u64::saturating_sub)),
        }
    }

    /// What the running process `pid` has used so far; `None` when it is gone.
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

    /// What the running process `pid` and its children have used so far, reaped ones included; `None` when it is
    /// gone. Of children that have ended, the peak memory is not known.
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
    /// What a process, running or not yet reaped, has read and written so far, with the children that it has reaped;
    /// `None` when it is gone, or may not be asked.
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

/// Anonymous memory of a running process now: without the files that it maps, which are page cache. `None` when it is
/// gone.
pub fn anonymous_bytes(pid: i32) -> Option<u64> {
    let status = procfs::process::Process::new(pid).and_then(|process| process.status()).ok()?;
    Some((status.rssanon? + status.rssshmem.unwrap_or(0)) * 1024)
}

/// The processes that run now, for the sampler, and what those used that ended.
#[derive(Default)]
pub struct Roster {
    pub(super) running: Vec<(Account, i32)>,
    /// The main processes of containers, which are no children of the harness.
    contained: Vec<(Account, i32)>,
    /// The most anonymous memory that a process of a container was seen with.
    contained_memory: Vec<(Account, u64)>,
    /// What the children used that were reaped.
    pub(super) reaped: Vec<(Account, Counters)>,
    /// What the containers used that have ended.
    contained_ended: Vec<(Account, Counters)>,
}

impl Roster {
    /// Process ids that run now on an account.
    pub fn running(&self, account: Account) -> Vec<i32> {
        let of_account = |list: &[(Account, i32)]| -> Vec<i32> {
            list.iter().filter(|(of, _)| *of == account).map(|(_, pid)| *pid).collect()
        };
        let contained = of_account(&self.contained).into_iter().flat_map(with_descendants);
        of_account(&self.running).into_iter().chain(contained).collect()
    }

    /// A container runs whose main process is `pid`.
    pub(crate) fn enter_container(&mut self, account: Account, pid: i32) {
        self.contained.push((account, pid));
    }

    /// The container with the main process `pid`, where that was known, has ended.
    pub(crate) fn leave_container(&mut self, account: Account, pid: Option<i32>, used: Option<Counters>) {
        self.contained.retain(|(_, running)| Some(*running) != pid);
        self.contained_ended.extend(used.map(|used| (account, used)));
    }

    /// The main processes of the containers that run now.
    pub fn containers(&self) -> Vec<(Account, i32)> {
        self.contained.clone()
    }

    /// A process of a container was seen with so much anonymous memory.
    pub fn note_memory(&mut self, account: Account, bytes: u64) {
        match self.contained_memory.iter_mut().find(|(of, _)| *of == account) {
            Some((_, most)) => *most = bytes.max(*most),
            None => self.contained_memory.push((account, bytes)),
        }
    }

    /// What the ended processes of an account used; `None` when it had none.
    pub fn used(&self, account: Account) -> Option<Counters> {
        let mut sum = sum_of(self.reaped.iter().chain(&self.contained_ended), account)?;
        let seen = self.contained_memory.iter().find(|(of, _)| *of == account);
        sum.memory_bytes_max = sum.memory_bytes_max.max(seen.map(|(_, bytes)| *bytes));
        Some(sum)
    }

    /// What the reaped children of an account used: the kernel adds their input and output to the harness's own.
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

/// The most anonymous memory of a process now, of the container whose main process is `pid`.
pub fn anonymous_bytes_of_tree(pid: i32) -> Option<u64> {
    with_descendants(pid).into_iter().filter_map(anonymous_bytes).max()
}

/// The processes that `pid` started and that have not ended.
fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = procfs::process::Process::new(pid).and_then(|process| process.tasks()) else {
        return Vec::new();
    };
    let of_tasks = tasks.flatten().filter_map(|task| task.children().ok());
    of_tasks.flatten().map(|child| child as i32).collect()
}

/// A process and all that it started and that has not ended.
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
    fn what_nobody_could_read_is_not_known_and_never_0() {
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
    fn memory_of_containers_is_what_was_seen_of_it_and_their_io_is_none_of_the_harness() {
        let mut roster = Roster::default();
        roster.enter_container(Account::Strategy, 1);
        assert_eq!(roster.containers(), [(Account::Strategy, 1)]);
        for bytes in [5, 9, 2] {
            roster.note_memory(Account::Strategy, bytes);
        }
        assert_eq!(roster.used(Account::Strategy), None, "it has not ended");
        roster.leave_container(Account::Strategy, Some(1), Some(counters(None, 100)));
        roster.reaped.push((Account::Strategy, counters(Some(4), 1)));
        let used = roster.used(Account::Strategy).unwrap();
        assert_eq!((used.memory_bytes_max, used.io.unwrap().bytes_read), (Some(9), 101));
        assert_eq!(roster.used_by_children(Account::Strategy).io.unwrap().bytes_read, 1);
        assert_eq!(roster.used(Account::Subject), None);
    }

    #[test]
    fn a_file_that_is_mapped_is_no_anonymous_memory() {
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
