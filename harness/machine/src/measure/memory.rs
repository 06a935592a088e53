//! Brings free memory into the same state for all measurements that are compared.

use procfs::Current;
use serde::{Deserialize, Serialize};

use crate::worker::{Job, Progress};

/// More would take long and have no lasting effect: free memory is continuously returned to the host.
const TOUCHED_BYTES_MAX: u64 = 6 << 30;

/// Use memory that is free and give it back, in a process of its own.
#[derive(Serialize, Deserialize)]
pub struct TouchMemory {
    /// How much.
    pub bytes: u64,
}

impl Job for TouchMemory {
    const NAME: &'static str = "memory";
    type Answer = ();

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        touch(self.bytes)
    }
}

/// Allocates and releases free memory, so that it is available for the page cache.
///
/// A virtual machine may return free memory to its host. Getting it back made the same `cp` of 1 GiB take 2.6 s instead
/// of 0.6 s, so that a copy right after a deletion seemed faster than all later ones.
fn touch(bytes: u64) -> anyhow::Result<()> {
    let free = procfs::Meminfo::current()?.mem_free;
    let bytes = available(bytes, free, control_group_room());
    if bytes > 0 {
        let mut memory = memmap2::MmapMut::map_anon(bytes as usize)?;
        memory.chunks_mut(4096).for_each(|page| page[0] = 1);
    }
    Ok(())
}

/// How much of `bytes` may be touched, with this much free memory, and this much left for a container.
fn available(bytes: u64, free: u64, room: Option<u64>) -> u64 {
    let room = room.map_or(free, |room| room.min(free));
    // Not so much that something is evicted.
    bytes.min(room / 10 * 8).min(TOUCHED_BYTES_MAX)
}

/// Memory that is left up to the limit of a container; `None` without a limit.
fn control_group_room() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let files = [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ];
    files.iter().find_map(|(limit, used)| Some(number(limit)?.saturating_sub(number(used)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_most_of_the_free_memory_is_touched() {
        const GIB: u64 = 1 << 30;
        assert_eq!(available(GIB, 10 * GIB, None), GIB);
        assert_eq!(available(8 * GIB, GIB, None), GIB / 10 * 8);
        assert_eq!(available(8 * GIB, 10 * GIB, Some(GIB)), GIB / 10 * 8);
        assert_eq!(available(GIB, 10 * GIB, Some(0)), 0);
        assert_eq!(available(100 * GIB, 100 * GIB, None), TOUCHED_BYTES_MAX);
    }
}
