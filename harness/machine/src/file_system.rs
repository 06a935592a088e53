//! File systems that the harness creates for a trial: in a sparse file, mounted over a loop device, and removed
//! afterwards.
//!
//! With `mount -o loop`, the kernel releases the loop device after the last use of the mount, however that ends. So a
//! killed run can leave only a mount, which is found by its path. LVM groups and ZFS pools are found by the notes about
//! them (see `noted`).

mod commands;
mod mounts;
mod noted;
mod throttle;
mod volume;
pub mod write_log;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::process::{Launcher, TICK};
use crate::tool::{CP, Tool};
pub use commands::{BTRFS, QUIET_LVM};
use commands::{
    LOSETUP, LVM, MKFS_BTRFS, MKFS_EXT4, MKFS_XFS, MOUNT, XFS_IO, ZPOOL, command, loop_devices, run,
};
use mounts::{BUSY_TIMEOUT, mounts, unmount_all, unmount_completely};
pub use mounts::{Mount, mount_of};
use noted::{NotedResource, sweep_noted};
pub use throttle::missing_for_throttling;
pub use volume::{Volume, VolumeSnapshot};
use volume::{make_logical_volume, make_pool};

/// The file system for the data of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// The file system of the working directory.
    #[default]
    Disk,
    /// A separate btrfs, with the live data in a subvolume.
    Btrfs,
    /// A separate ext4.
    Ext4,
    /// A separate ext4 on a logical volume, with space for snapshots in the volume group.
    Lvm,
    /// A separate XFS.
    Xfs,
    /// A separate ZFS: a pool in one file.
    Zfs,
}

/// The minimum size of XFS is 300 MB; the image is sparse.
const BYTES_MIN: u64 = 512 << 20;

impl FileSystem {
    /// The file systems that the harness creates.
    pub const MADE: [FileSystem; 5] =
        [FileSystem::Btrfs, FileSystem::Ext4, FileSystem::Lvm, FileSystem::Xfs, FileSystem::Zfs];

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Disk => "disk",
            FileSystem::Btrfs => "btrfs",
            FileSystem::Ext4 => "ext4",
            FileSystem::Lvm => "lvm",
            FileSystem::Xfs => "xfs",
            FileSystem::Zfs => "zfs",
        }
    }

    /// The type for `mount`.
    fn kind(self) -> &'static str {
        match self {
            FileSystem::Lvm => FileSystem::Ext4.name(),
            other => other.name(),
        }
    }

    /// The command that creates it; `None` for the existing one.
    pub fn maker(self) -> Option<&'static Tool> {
        match self {
            FileSystem::Disk => None,
            FileSystem::Btrfs => Some(&MKFS_BTRFS),
            FileSystem::Ext4 | FileSystem::Lvm => Some(&MKFS_EXT4),
            FileSystem::Xfs => Some(&MKFS_XFS),
            FileSystem::Zfs => Some(&ZPOOL),
        }
    }

    /// The command that manages its volumes or subvolumes.
    pub fn manager(self) -> Option<&'static Tool> {
        match self {
            FileSystem::Btrfs => Some(&BTRFS),
            FileSystem::Lvm => Some(&LVM),
            _ => None,
        }
    }

    /// All commands that are needed to create it.
    pub fn tools(self) -> Vec<&'static Tool> {
        self.maker().into_iter().chain(self.manager()).chain([&MOUNT, &LOSETUP]).collect()
    }

    /// True if a separate one can be shut down at once, as if the power of its disk had failed.
    pub fn can_lose_power(self) -> bool {
        matches!(self, FileSystem::Ext4 | FileSystem::Xfs)
    }

    /// True if files can share blocks (reflinks, copy-on-write).
    pub fn shares_blocks(self) -> bool {
        matches!(self, FileSystem::Btrfs | FileSystem::Xfs)
    }

    /// Maximum disk space for this much data: a separate file system needs space for itself, and blocks that are copied
    /// on write occupy space until the old ones are freed.
    pub fn disk_bytes(self, data_bytes: u64) -> u64 {
        match self {
            FileSystem::Disk => data_bytes,
            // Its volume group also has space for a snapshot of it.
            FileSystem::Lvm => data_bytes * 5 / 2 + BYTES_MIN,
            _ => data_bytes * 3 / 2 + BYTES_MIN,
        }
    }

    /// Creates a directory: on btrfs a subvolume, so that snapshots of it can be taken.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_directory(self, launcher: &Launcher, path: &Path) -> Result<()> {
        match self {
            FileSystem::Btrfs => run(launcher, command(&BTRFS, &["subvolume", "create"], &[path])),
            _ => Ok(std::fs::create_dir(path).with_context(|| format!("cannot create {}", path.display()))?),
        }
    }

    /// What is missing on this machine to create it.
    pub fn missing(self) -> Option<String> {
        if !geteuid().is_root() {
            return Some("only root can mount it: run this as root".into());
        }
        if !Path::new("/dev/loop-control").exists() {
            return Some("/dev/loop-control is missing: load the kernel module 'loop'".into());
        }
        // A ZFS in user space cannot print its version.
        let is_untold = |tool: &&Tool| tool.command == ZPOOL.command && tool.path().is_some();
        self.tools().into_iter().filter(|tool| !is_untold(tool)).find_map(Tool::missing)
    }
}

/// A file system that the harness created. Dropping it unmounts and removes it.
pub struct TemporaryFileSystem {
    kind: FileSystem,
    point: PathBuf,
    image: PathBuf,
    /// The LVM group or ZFS pool below it, which must be removed explicitly.
    noted: Option<NotedResource>,
}

impl TemporaryFileSystem {
    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Creates a file system of at most `bytes` and mounts it at a new directory, `name` in the launcher's work
    /// directory.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing or what failed; [`Error::Interrupted`].
    pub fn make(
        kind: FileSystem,
        launcher: &Launcher,
        name: &str,
        bytes: u64,
    ) -> Result<TemporaryFileSystem> {
        let refused = |cause: String| {
            Error::Environment(format!("cannot create a separate file system ({}): {cause}", kind.name()))
        };
        let maker = kind.maker().ok_or_else(|| refused("it is that of the working directory".into()))?;
        if let Some(missing) = kind.missing() {
            return Err(refused(missing));
        }
        // Canonical, as in the kernel's table of mounts.
        let directory = launcher.work_directory().canonicalize().context("there is no work directory")?;
        // Constructed before anything is created, so that dropping it cleans up after any error.
        let image = directory.join(format!("{name}.image"));
        let mut mounted = TemporaryFileSystem { kind, point: directory.join(name), image, noted: None };
        let files = || {
            File::create_new(&mounted.image)?.set_len(bytes)?;
            std::fs::create_dir(&mounted.point)
        };
        files().map_err(|error: std::io::Error| refused(error.to_string()))?;
        mounted.fill(maker, launcher).map_err(|error| match error {
            Error::Environment(cause) => refused(cause),
            other => other,
        })?;
        Ok(mounted)
    }

    fn fill(&mut self, maker: &Tool, launcher: &Launcher) -> Result<()> {
        let kind = self.kind;
        if kind == FileSystem::Zfs {
            self.noted = Some(make_pool(launcher, &self.image, &self.point)?);
            return Ok(());
        }
        let quietly: &[&str] = if kind.kind() == "ext4" { &["-q", "-F"] } else { &["-q"] };
        if kind == FileSystem::Lvm {
            let (noted, volume) = make_logical_volume(launcher, &self.image)?;
            self.noted = Some(noted);
            run(launcher, command(maker, quietly, &[&volume]))?;
            return run(launcher, command(&MOUNT, &["-t", kind.kind()], &[&volume, &self.point]));
        }
        run(launcher, command(maker, quietly, &[&self.image]))?;
        self.mount_image(launcher)
    }

    /// Mounts the image over a loop device.
    fn mount_image(&self, launcher: &Launcher) -> Result<()> {
        let options = ["-o", "loop", "-t", self.kind.kind()];
        run(launcher, command(&MOUNT, &options, &[&self.image, &self.point]))?;
        let device = mounts()?.into_iter().find(|mount| mount.point == self.point).map(|mount| mount.source);
        let device = device.context("a mount that was just created is gone")?;
        // Without direct I/O, the image would be cached, too: dropped pages of the file system would still be in
        // memory.
        run(launcher, command(&LOSETUP, &["--direct-io=on"], &[Path::new(&device)]))
    }

    /// Shuts it down at once: what is not on its disk yet is lost, and every further access fails, until it is mounted
    /// again with [`TemporaryFileSystem::mount_again`].
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be shut down.
    pub fn cut_power(&self, launcher: &Launcher) -> Result<()> {
        run(launcher, command(&XFS_IO, &["-x", "-c", "shutdown"], &[&self.point]))
    }

    /// Unmounts it and mounts it again, as after a reboot. Processes that used it must have been killed.
    ///
    /// # Errors
    /// [`Error::Environment`] when it is still in use, or cannot be mounted.
    pub fn mount_again(&self, launcher: &Launcher) -> Result<()> {
        let refused =
            |cause: &str| Error::Environment(format!("cannot unmount {}: {cause}", self.point.display()));
        unmount_completely(&self.point).map_err(|error| refused(error.desc()))?;
        // A container that is being started has a copy of all mounts for a moment. Until that is gone, the file system
        // is not really unmounted, and may still write to the image.
        let give_up = Instant::now() + BUSY_TIMEOUT;
        while !loop_devices(&self.image)?.is_empty() {
            if Instant::now() > give_up {
                return Err(refused("its loop device is still in use"));
            }
            launcher.cancel.sleep_until(Instant::now() + TICK)?;
        }
        self.mount_image(launcher)
    }

    /// Limits the rate at which its device reads and writes, in bytes per second, or removes the limit.
    ///
    /// # Errors
    /// [`Error::Environment`] when the kernel does not support it.
    pub fn throttle(&self, bytes_per_second: Option<u64>) -> Result<()> {
        throttle::throttle(&self.point, bytes_per_second)
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Errors
    /// [`Error::Environment`] when a file on it is open for writing.
    pub fn set_read_only(&self, launcher: &Launcher, is_read_only: bool) -> Result<()> {
        let options = if is_read_only { "remount,ro" } else { "remount,rw" };
        run(launcher, command(&MOUNT, &["-o", options], &[&self.point]))
    }
}

impl Drop for TemporaryFileSystem {
    fn drop(&mut self) {
        // If this fails, the next start cleans up.
        let _ = sweep(&self.point);
        let stays = self.noted.take().is_some_and(NotedResource::stays);
        let _ = std::fs::remove_dir(&self.point);
        // The image is kept if the group or pool is, because a loop device is found by its image.
        if !stays {
            let _ = std::fs::remove_file(&self.image);
        }
    }
}

/// What is missing on this machine to shut a separate file system down at once.
pub fn missing_for_power_cuts() -> Option<String> {
    XFS_IO.missing()
}

/// Unmounts everything that is mounted in a directory, the innermost first, then removes LVM groups, ZFS pools and
/// snapshots with notes there. Returns the number of unmounted file systems.
///
/// # Errors
/// [`Error::Environment`] when something cannot be unmounted or removed.
pub fn sweep(directory: &Path) -> Result<usize> {
    let unmounted = unmount_all(directory)?;
    sweep_noted(directory)?;
    Ok(unmounted)
}

/// True if files in a directory can share blocks: tries it with `cp`, as a snapshot does.
///
/// # Errors
/// When the directory cannot be written to.
pub fn reflinks_work(directory: &Path) -> std::io::Result<bool> {
    let place = tempfile::tempdir_in(directory)?;
    let (file, copy) = (place.path().join("file"), place.path().join("copy"));
    std::fs::write(&file, [1; 4096])?;
    Ok(command(&CP, &["--reflink=always", "--"], &[&file, &copy]).status()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separate_file_system_needs_more_space_than_its_data() {
        assert_eq!(FileSystem::Disk.disk_bytes(1 << 30), 1 << 30);
        assert_eq!(FileSystem::Xfs.disk_bytes(1 << 30), (3 << 29) + BYTES_MIN);
    }
}
