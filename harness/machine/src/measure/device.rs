//! How busy a disk is: what waits in memory to be written, and how long its writes and flushes take.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use procfs::Current;

use crate::file_system::mount_of;

/// The block device below a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The kernel's counters of its requests. Those of a partition lack the flushes, so they are those of its disk.
    counters: PathBuf,
}

/// Requests that a device has completed since the machine started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// Number of writes.
    pub writes: u64,
    /// Their durations in milliseconds, added up.
    pub write_ms: u64,
    /// Number of flushes of the device's own cache.
    pub flushes: u64,
    /// Their durations in milliseconds, added up.
    pub flush_ms: u64,
}

impl Device {
    /// The device of a file system that contains `path`; `None` when it has none, as in a container's own file system.
    pub fn of(path: &Path) -> Option<Device> {
        // btrfs gives each subvolume a number of its own, which no device has.
        let numbers = [
            path.metadata().ok().map(|file| file.dev()),
            mount_of(path).ok().and_then(|mount| Some(Path::new(&mount.source).metadata().ok()?.rdev())),
        ];
        numbers.into_iter().flatten().find_map(|number| {
            let device = PathBuf::from(format!("/sys/dev/block/{}:{}", major(number), minor(number)));
            let device = device.canonicalize().ok()?;
            let is_partition = device.join("partition").exists();
            let disk = if is_partition { device.parent()? } else { &device };
            Some(Device { counters: disk.join("stat") })
        })
    }

    /// Its counters now; `None` when they cannot be read, or when the kernel (before 5.5) does not count flushes.
    pub fn requests(&self) -> Option<Requests> {
        parse(&std::fs::read_to_string(&self.counters).ok()?)
    }
}

/// The counters in the order of the kernel's documentation (`Documentation/block/stat.rst`).
fn parse(stat: &str) -> Option<Requests> {
    let counters: Vec<u64> = stat.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let at = |index: usize| counters.get(index).copied();
    Some(Requests { writes: at(4)?, write_ms: at(7)?, flushes: at(15)?, flush_ms: at(16)? })
}

impl Requests {
    /// Mean duration in milliseconds of the writes since `before`; `None` without any.
    pub fn mean_write_ms(&self, before: &Requests) -> Option<f64> {
        mean((before.writes, self.writes), (before.write_ms, self.write_ms))
    }

    /// Mean duration in milliseconds of the flushes since `before`; `None` without any.
    pub fn mean_flush_ms(&self, before: &Requests) -> Option<f64> {
        mean((before.flushes, self.flushes), (before.flush_ms, self.flush_ms))
    }
}

/// The mean of what was added to a count and to a sum of durations. A counter that wrapped around gives none.
fn mean(count: (u64, u64), ms: (u64, u64)) -> Option<f64> {
    let count = count.1.checked_sub(count.0).filter(|count| *count > 0)?;
    Some(ms.1.checked_sub(ms.0)? as f64 / count as f64)
}

/// Bytes of the page cache that are not on a disk yet: changed pages, and pages that are being written.
pub fn unwritten_bytes() -> Option<u64> {
    let memory = procfs::Meminfo::current().ok()?;
    Some(memory.dirty + memory.writeback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn counters_are_read_in_the_kernels_order() {
        let stat = "  1 2 3 4 50 6 7 800 9 10 11 12 13 14 15 160 1700\n";
        let requests = Requests { writes: 50, write_ms: 800, flushes: 160, flush_ms: 1700 };
        assert_eq!(parse(stat), Some(requests));
        assert_eq!(parse("1 2 3 4 5 6 7 8 9 10 11"), None, "no flushes before Linux 5.5");
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_mean_is_of_the_requests_in_between() {
        let before = Requests { writes: 10, write_ms: 100, flushes: 4, flush_ms: 8 };
        let after = Requests { writes: 14, write_ms: 110, flushes: 4, flush_ms: 8 };
        assert_eq!(after.mean_write_ms(&before), Some(2.5));
        assert_eq!(after.mean_flush_ms(&before), None, "nothing was flushed");
        assert_eq!(before.mean_write_ms(&after), None, "a counter that fell");
    }

    #[test]
    fn a_durable_write_is_counted_by_the_device_of_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let Some(device) = Device::of(directory.path()) else { return };
        let before = device.requests().unwrap();
        let mut file = File::create(directory.path().join("file")).unwrap();
        file.write_all(&[1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let after = device.requests().unwrap();
        assert!(after.writes > before.writes, "{before:?} {after:?}");
        assert!(after.mean_write_ms(&before).is_some());
    }

    #[test]
    fn a_file_system_without_a_device_has_none() {
        assert_eq!(Device::of(Path::new("/proc")), None);
        assert_eq!(Device::of(Path::new("/no/such/directory")), None);
        assert!(unwritten_bytes().is_some());
    }
}
