//! Limits on the memory and the processor time that some processes share: a control group of the kernel.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::geteuid;

use super::alive::is_alive;
use crate::error::{Error, Result};

/// The names of all groups begin with this.
const PREFIX: &str = "backup-drill-";
/// Processor time is given out in periods of this length, in microseconds: the kernel's default.
const PERIOD_US: u64 = 100_000;

/// A resource that the kernel can limit: what messages call it, and where its groups are, with version 1 and version 2
/// of control groups, with the file of the limit.
struct Controller {
    title: &'static str,
    name: &'static str,
    hierarchies: [(&'static str, &'static str); 2],
}

const MEMORY: Controller = Controller {
    title: "memory",
    name: "memory",
    hierarchies: [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")],
};
const CPU: Controller = Controller {
    title: "processor time",
    name: "cpu",
    hierarchies: [("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"), ("/sys/fs/cgroup", "cpu.max")],
};

/// What some processes may use together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Memory in bytes, page cache included; `None` for no limit.
    pub memory_bytes: Option<u64>,
    /// Processors that they may keep busy on average; `None` for no limit.
    pub cpus: Option<f64>,
}

impl Limits {
    fn controllers(self) -> impl Iterator<Item = (Controller, String)> {
        let memory = self.memory_bytes.map(|bytes| (MEMORY, bytes.to_string()));
        let cpu = self.cpus.map(|cpus| {
            let quota_us = (cpus * PERIOD_US as f64) as u64;
            // Version 2 reads the quota from the same words; without a period, it keeps the default.
            (CPU, quota_us.to_string())
        });
        memory.into_iter().chain(cpu)
    }

    /// What is missing on this machine to set these limits; `None` when nothing is, or without limits.
    pub fn missing(self) -> Option<String> {
        let mut controllers = self.controllers().peekable();
        controllers.peek()?;
        if !geteuid().is_root() {
            return Some(
                "only root can limit the memory and processor time of processes: run this as root".into(),
            );
        }
        let missing = controllers.find(|(controller, _)| controller.hierarchy().is_none());
        missing.map(|(controller, _)| {
            let Controller { title, name, .. } = controller;
            format!("{title} cannot be limited: the kernel's controller '{name}' is not available in /sys/fs/cgroup")
        })
    }
}

impl Controller {
    fn hierarchy(&self) -> Option<(&'static Path, &'static str)> {
        let is_here = |(root, limit): &(&str, &str)| {
            // With version 2, the root group has no limit, and its controllers must be enabled for groups in it.
            let enabled = std::fs::read_to_string(Path::new(root).join("cgroup.subtree_control"));
            let is_enabled = |enabled: String| enabled.split_whitespace().any(|name| name == self.name);
            Path::new(root).join(limit).exists() || enabled.is_ok_and(is_enabled)
        };
        self.hierarchies.into_iter().find(is_here).map(|(root, limit)| (Path::new(root), limit))
    }
}

/// A group of processes with limits. Dropping it removes it, once its processes have ended.
pub struct LimitedGroup {
    /// One for each controller; with version 2 of control groups they share one.
    directories: Vec<PathBuf>,
}

impl LimitedGroup {
    /// A group without processes. Empty groups that a killed run has left are removed first.
    ///
    /// # Errors
    /// [`Error::Environment`] when the kernel does not allow it.
    pub fn make(limits: Limits) -> Result<LimitedGroup> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut group = LimitedGroup { directories: Vec::new() };
        for (controller, value) in limits.controllers() {
            let Some((root, limit)) = controller.hierarchy() else {
                return Err(Error::Environment(limits.missing().unwrap_or_default()));
            };
            let refused = |error: std::io::Error| {
                Error::Environment(format!("cannot limit {} to {value}: {error}", controller.title))
            };
            let directory = root.join(format!("{PREFIX}{}-{number}", std::process::id()));
            if !group.directories.contains(&directory) {
                sweep(root);
                std::fs::create_dir(&directory).map_err(refused)?;
                group.directories.push(directory.clone());
            }
            std::fs::write(directory.join(limit), &value).map_err(refused)?;
        }
        Ok(group)
    }

    /// Files by which a process that is about to be started adds itself: it writes "0".
    ///
    /// # Errors
    /// When the group is gone.
    pub(super) fn entrances(&self) -> std::io::Result<Vec<File>> {
        let open = |directory: &PathBuf| File::options().write(true).open(directory.join("cgroup.procs"));
        self.directories.iter().map(open).collect()
    }

    /// Adds a process; its future children are added with it. A process that has ended already is ignored.
    pub(super) fn add(&self, pid: i32) {
        for directory in &self.directories {
            let _ = std::fs::write(directory.join("cgroup.procs"), pid.to_string());
        }
    }
}

impl Drop for LimitedGroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            // A group with processes cannot be removed: the next one that is made removes it.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Removes the groups of runs that were killed. A group with processes stays.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = name.to_string_lossy();
        let owner = of.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<i32>().ok());
        // An empty group of a run that goes on has not got its processes yet.
        if owner.is_some_and(|pid| !is_alive(pid)) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A script that waits until it is in its group.
    fn waiting(script: &str) -> Child {
        Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn output_in(group: &LimitedGroup, script: &str) -> String {
        let mut child = waiting(script);
        group.add(child.id() as i32);
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).trim().to_owned()
    }

    #[test]
    fn a_process_that_needs_more_memory_is_killed_and_the_group_is_removed() {
        let limits = Limits { memory_bytes: Some(8 << 20), ..Limits::default() };
        if let Some(missing) = limits.missing() {
            eprintln!("NOT TESTED: {missing}");
            return;
        }
        let group = LimitedGroup::make(limits).unwrap();
        let directories = group.directories.clone();
        let output = output_in(&group, "head -c 67108864 /dev/zero | tail -c 67108864 | wc -c");
        assert_ne!(output, "67108864");
        drop(group);
        assert!(directories.iter().all(|directory| !directory.exists()));
    }

    #[test]
    fn both_limits_can_be_set_and_the_kernel_knows_them() {
        let limits = Limits { memory_bytes: Some(64 << 20), cpus: Some(0.5) };
        if let Some(missing) = limits.missing() {
            eprintln!("NOT TESTED: {missing}");
            return;
        }
        let group = LimitedGroup::make(limits).unwrap();
        for (controller, value) in limits.controllers() {
            let (root, limit) = controller.hierarchy().unwrap();
            let directory = group.directories.iter().find(|directory| directory.starts_with(root)).unwrap();
            let set = std::fs::read_to_string(directory.join(limit)).unwrap();
            assert_eq!(set.split_whitespace().next(), Some(value.as_str()));
        }
        assert!(output_in(&group, "cat /proc/self/cgroup").contains(PREFIX));
    }
}
