//! A limit on the memory that some processes share: a control group of the kernel.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::geteuid;

use crate::error::{Error, Result};

/// Where the groups are, with version 1 and version 2 of control groups, and the file of the limit.
const HIERARCHIES: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
/// The names of all groups begin with this.
const PREFIX: &str = "backup-drill-";

/// A group of processes with limited memory. Dropping it removes it, once its processes have ended.
pub struct MemoryGroup {
    directory: PathBuf,
}

impl MemoryGroup {
    /// What is missing on this machine to limit memory.
    pub fn missing() -> Option<String> {
        if !geteuid().is_root() {
            return Some("only root can limit the memory of processes: run this as root".into());
        }
        hierarchy()
            .is_none()
            .then(|| "the kernel's memory controller is not available in /sys/fs/cgroup".into())
    }

    /// A group without processes. Empty groups that a killed run has left are removed first.
    ///
    /// # Errors
    /// [`Error::Environment`] when the kernel does not allow it.
    pub fn make(bytes: u64) -> Result<MemoryGroup> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let Some((root, limit)) = hierarchy() else {
            return Err(Error::Environment(MemoryGroup::missing().unwrap_or_default()));
        };
        sweep(root);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = root.join(format!("{PREFIX}{}-{number}", std::process::id()));
        let refused = |error: std::io::Error| {
            Error::Environment(format!("cannot limit memory to {bytes} bytes: {error}"))
        };
        std::fs::create_dir(&directory).map_err(refused)?;
        let group = MemoryGroup { directory };
        std::fs::write(group.directory.join(limit), bytes.to_string()).map_err(refused)?;
        Ok(group)
    }

    /// Adds a process; its future children are added with it. A process that has ended already is ignored.
    pub(super) fn add(&self, pid: i32) {
        let _ = std::fs::write(self.directory.join("cgroup.procs"), pid.to_string());
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A group with processes cannot be removed: the next one that is made removes it.
        let _ = std::fs::remove_dir(&self.directory);
    }
}

fn hierarchy() -> Option<(&'static Path, &'static str)> {
    let is_here = |(root, limit): &(&str, &str)| {
        // With version 2, the root group has no limit, and its controllers must be enabled for groups in it.
        let enabled = std::fs::read_to_string(Path::new(root).join("cgroup.subtree_control"));
        Path::new(root).join(limit).exists() || enabled.is_ok_and(|enabled| enabled.contains("memory"))
    };
    HIERARCHIES.into_iter().find(is_here).map(|(root, limit)| (Path::new(root), limit))
}

/// Removes the groups of runs that were killed. A group with processes stays.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_needs_more_memory_is_killed_and_the_group_is_removed() {
        if MemoryGroup::missing().is_some() {
            return;
        }
        let group = MemoryGroup::make(8 << 20).unwrap();
        let directory = group.directory.clone();
        // It waits until it is in the group, then needs 64 MiB.
        let script = "read go; head -c 67108864 /dev/zero | tail -c 67108864 | wc -c";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        group.add(child.id() as i32);
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "67108864");
        drop(group);
        assert!(!directory.exists());
    }
}
