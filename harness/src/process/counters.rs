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

/// What a process used. Bytes of 0 mean that it read or wrote none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Peak resident memory (of the largest process, when added up).
    pub memory_bytes_max: u64,
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
    /// Adds what another process used.
    pub fn add(&mut self, other: &Counters) {
        self.cpu_seconds += other.cpu_seconds;
        self.memory_bytes_max = self.memory_bytes_max.max(other.memory_bytes_max);
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.disk_bytes_read += other.disk_bytes_read;
        self.disk_bytes_written += other.disk_bytes_written;
    }

    /// What was used since an earlier reading of the same processes; the peak of the memory is that of now.
    pub fn since(&self, earlier: &Counters) -> Counters {
        Counters {
            cpu_seconds: (self.cpu_seconds - earlier.cpu_seconds).max(0.0),
            memory_bytes_max: self.memory_bytes_max,
            bytes_read: self.bytes_read.saturating_sub(earlier.bytes_read),
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
            disk_bytes_read: self.disk_bytes_read.saturating_sub(earlier.disk_bytes_read),
            disk_bytes_written: self.disk_bytes_written.saturating_sub(earlier.disk_bytes_written),
        }
    }

    /// What the running process `pid` has used so far; `None` when it is gone.
    pub fn of(pid: i32) -> Option<Counters> {
        let process = procfs::process::Process::new(pid).ok()?;
        let stat = process.stat().ok()?;
        let status = process.status().ok()?;
        let mut counters = Counters {
            cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            memory_bytes_max: status.vmhwm.unwrap_or(0) * 1024,
            ..Counters::default()
        };
        counters.take_io(pid);
        Some(counters)
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

    pub(super) fn take_io(&mut self, pid: i32) {
        if let Ok(io) = procfs::process::Process::new(pid).and_then(|process| process.io()) {
            self.bytes_read = io.rchar;
            self.bytes_written = io.wchar;
            self.disk_bytes_read = io.read_bytes;
            self.disk_bytes_written = io.write_bytes.saturating_sub(io.cancelled_write_bytes);
        }
    }
}

/// The processes that run now, for the sampler, and what those used that ended.
#[derive(Default)]
pub struct Roster {
    pub(super) running: Vec<(Account, i32)>,
    /// The main processes of containers, which are no children of the harness.
    contained: Vec<(Account, i32)>,
    pub(super) ended: Vec<(Account, Counters)>,
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
        self.ended.extend(used.map(|used| (account, used)));
    }

    /// What the ended processes of an account used; `None` when it had none.
    pub fn used(&self, account: Account) -> Option<Counters> {
        let mut sum = None;
        for (_, counters) in self.ended.iter().filter(|(of, _)| *of == account) {
            sum.get_or_insert_with(Counters::default).add(counters);
        }
        sum
    }
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
