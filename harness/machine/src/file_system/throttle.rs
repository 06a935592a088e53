//! Limits the rate at which a file system's device reads and writes.
//!
//! The limit is set for the root group of the controller `blkio`, to which the kernel's threads belong that write dirty
//! pages back, so it applies to buffered writes as well. It belongs to the device and would outlive a mount, so it is
//! removed before each unmount, also when a killed run is cleaned up.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};
use nix::unistd::geteuid;

use crate::error::{Error, Result};

const CONTROLLER: &str = "/sys/fs/cgroup/blkio";
const LIMITS: [&str; 2] = ["blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"];

/// What is missing on this machine to limit the rate of a device.
pub fn missing_for_throttling() -> Option<String> {
    if !geteuid().is_root() {
        return Some("only root can limit the rate of a disk: run this as root".into());
    }
    let is_here = LIMITS.iter().all(|limit| Path::new(CONTROLLER).join(limit).exists());
    (!is_here).then(|| {
        format!("the controller 'blkio' of control groups, version 1, is not mounted at {CONTROLLER}")
    })
}

/// Limits the device of the file system at `point`, or removes the limit.
pub(super) fn throttle(point: &Path, bytes_per_second: Option<u64>) -> Result<()> {
    let refused = |error: std::io::Error| {
        Error::Environment(format!("cannot limit the rate of {}: {error}", point.display()))
    };
    let device = point.metadata().map_err(refused)?.dev();
    // 0 means no limit.
    let rule = format!("{}:{} {}", major(device), minor(device), bytes_per_second.unwrap_or(0));
    LIMITS
        .iter()
        .try_for_each(|limit| std::fs::write(Path::new(CONTROLLER).join(limit), &rule))
        .map_err(refused)
}

/// Removes the limit of a file system that is about to be unmounted, if it can have one.
pub(super) fn release(point: &Path) {
    if missing_for_throttling().is_none() {
        // A file system without a device of its own has no limit.
        let _ = throttle(point, None);
    }
}
