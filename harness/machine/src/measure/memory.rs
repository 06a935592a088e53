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
///
/// # Errors
/// When the kernel does not report how much is free, or refuses the allocation.
pub fn touch(bytes: u64) -> anyhow::Result<()> {
    let free = procfs::Meminfo::current()?.mem_free;
    let room = control_group_room().map_or(free, |room| room.min(free));
    // Not so much that something is evicted.
    let bytes = bytes.min(room / 10 * 8).min(TOUCHED_BYTES_MAX) as usize;
    if bytes > 0 {
        let mut memory = memmap2::MmapMut::map_anon(bytes)?;
        memory.chunks_mut(4096).for_each(|page| page[0] = 1);
    }
    Ok(())
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
    #[test]
    fn touching_more_than_the_free_memory_is_not_an_error() {
        super::touch(1 << 20).unwrap();
        super::touch(0).unwrap();
    }
}
