//! File systems that the harness creates for a trial: in a sparse file, mounted over a loop device, and removed
//! afterwards.
//!
//! With `mount -o loop`, the kernel releases the loop device after the last use of the mount, however that ends. So a
//! killed run can leave only a mount, which is found by its path. LVM groups and ZFS pools are found by the notes about
//! them (see `volume`).

mod volume;

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::process::{Account, Group, Launcher, TICK};
use crate::tool::{BTRFS, CP, Get, Tool};
use volume::{LVM, Noted, ZPOOL};
pub use volume::{QUIET_LVM, Volume, VolumeSnapshot};

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

const MKFS_BTRFS: Tool =
    Tool { command: "mkfs.btrfs", version_argument: "--version", get: Get::packages(&["btrfs-progs"]) };
const MKFS_EXT4: Tool =
    Tool { command: "mkfs.ext4", version_argument: "-V", get: Get::packages(&["e2fsprogs"]) };
const MKFS_XFS: Tool =
    Tool { command: "mkfs.xfs", version_argument: "-V", get: Get::packages(&["xfsprogs"]) };
const MOUNT: Tool = Tool {
    command: "mount",
    version_argument: "--version",
    get: Get::Packages { debian: &["mount"], elsewhere: Some(("util-linux", "elsewhere")) },
};
const LOSETUP: Tool = Tool { command: "losetup", ..MOUNT };

/// The minimum size of XFS is 300 MB; the image is sparse.
const BYTES_MIN: u64 = 512 << 20;
/// How long a mount may stay busy because of processes that were just killed.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Tries to create one in the launcher's work directory. Returns why that fails, and what to do about it.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn obstacle(self, launcher: &Launcher) -> Result<Option<String>> {
        match Mounted::make(self, launcher, self.name(), BYTES_MIN) {
            Ok(_) => Ok(None),
            Err(Error::Environment(obstacle)) => Ok(Some(obstacle)),
            Err(error) => Err(error),
        }
    }

    /// What is missing on this machine to create it.
    fn missing(self) -> Option<String> {
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
pub struct Mounted {
    point: PathBuf,
    image: PathBuf,
    /// The LVM group or ZFS pool below it, which must be removed explicitly.
    noted: Option<Noted>,
}

impl Mounted {
    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Creates a file system of at most `bytes` and mounts it at a new directory, `name` in the launcher's work
    /// directory.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing or what failed; [`Error::Interrupted`].
    pub fn make(kind: FileSystem, launcher: &Launcher, name: &str, bytes: u64) -> Result<Mounted> {
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
        let mut mounted = Mounted { point: directory.join(name), image, noted: None };
        let files = || {
            File::create_new(&mounted.image)?.set_len(bytes)?;
            std::fs::create_dir(&mounted.point)
        };
        files().map_err(|error: std::io::Error| refused(error.to_string()))?;
        mounted.fill(kind, maker, launcher).map_err(|error| match error {
            Error::Environment(cause) => refused(cause),
            other => other,
        })?;
        Ok(mounted)
    }

    fn fill(&mut self, kind: FileSystem, maker: &Tool, launcher: &Launcher) -> Result<()> {
        if kind == FileSystem::Zfs {
            self.noted = Some(volume::make_pool(launcher, &self.image, &self.point)?);
            return Ok(());
        }
        let mut device = self.image.clone();
        let mut options: &[&str] = &["-o", "loop"];
        if kind == FileSystem::Lvm {
            let (noted, volume) = volume::make_logical_volume(launcher, &self.image)?;
            (self.noted, device, options) = (Some(noted), volume, &[]);
        }
        let quietly: &[&str] = if kind.kind() == "ext4" { &["-q", "-F"] } else { &["-q"] };
        run(launcher, command(maker, quietly, &[&device]))?;
        run(launcher, command(&MOUNT, &[options, &["-t", kind.kind()]].concat(), &[&device, &self.point]))?;
        if kind == FileSystem::Lvm {
            return Ok(());
        }
        let device = mounts()?.into_iter().find(|mount| mount.point == self.point).map(|mount| mount.source);
        let device = device.context("a mount that was just created is gone")?;
        // Without direct I/O, the image would be cached, too: dropped pages of the file system would still be in
        // memory.
        run(launcher, command(&LOSETUP, &["--direct-io=on"], &[Path::new(&device)]))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // If this fails, the next start cleans up.
        let _ = sweep(&self.point);
        let stays = self.noted.take().is_some_and(Noted::stays);
        let _ = std::fs::remove_dir(&self.point);
        // The image is kept if the group or pool is, because a loop device is found by its image.
        if !stays {
            let _ = std::fs::remove_file(&self.image);
        }
    }
}

fn command(tool: &Tool, words: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(tool.command);
    let (name, value) = QUIET_LVM;
    command
        .env(name, value)
        .args(words)
        .args(paths)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn run(launcher: &Launcher, command: Command) -> Result<()> {
    // Checked here, because most commands end before the first check of the wait.
    launcher.cancel.check()?;
    let child = launcher.spawn(Account::Preparation, command)?;
    let ended = Group::new(vec![child]).wait(|_| launcher.cancel.check())?;
    ended.result()?;
    Ok(())
}

/// Unmounts everything that is mounted in a directory, the innermost first, then removes LVM groups, ZFS pools and
/// snapshots with notes there. Returns the number of unmounted file systems.
///
/// # Errors
/// [`Error::Environment`] when something cannot be unmounted or removed.
pub fn sweep(directory: &Path) -> Result<usize> {
    let mut points: Vec<PathBuf> = mounts()?.into_iter().map(|mount| mount.point).collect();
    points.retain(|point| point.starts_with(directory));
    points.sort();
    for point in points.iter().rev() {
        unmount(point).map_err(|error| {
            Error::Environment(format!("cannot unmount {}: {}", point.display(), error.desc()))
        })?;
    }
    volume::sweep_noted(directory)?;
    Ok(points.len())
}

fn unmount(point: &Path) -> nix::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match umount2(point, MntFlags::empty()) {
            Err(Errno::EBUSY) if Instant::now() < give_up => std::thread::sleep(TICK),
            // It is detached from the directory tree, and ends with its last user.
            Err(Errno::EBUSY) => return umount2(point, MntFlags::MNT_DETACH),
            other => return other,
        }
    }
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

/// A mount of this machine.
pub struct Mount {
    /// The mount point.
    pub point: PathBuf,
    /// The directory of the file system that is mounted there: `/` for all of it.
    pub root: PathBuf,
    /// The type of the file system, as the kernel names it.
    pub kind: String,
    /// The source of the mount: usually a device.
    pub source: String,
}

/// The mount that contains a file or directory: the one with the longest mount point above it.
///
/// # Errors
/// When there is no such file or directory, or the table of mounts cannot be read.
pub fn mount_of(path: &Path) -> Result<Mount> {
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    let above = mounts()?.into_iter().filter(|mount| path.starts_with(&mount.point));
    // Of two at the same place, the later one hides the earlier one.
    let mount = above.max_by_key(|mount| mount.point.as_os_str().len());
    Ok(mount.context("nothing is mounted at /")?)
}

fn mounts() -> Result<Vec<Mount>> {
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read the table of mounts")?;
    Ok(table.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// Parses a line of proc_pid_mountinfo(5): the fourth word is the root and the fifth the mount point; type and source
/// follow after a dash.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let root = PathBuf::from(unescaped(words.nth(3)?));
    let point = PathBuf::from(unescaped(words.next()?));
    words.find(|word| *word == b"-")?;
    let mut word = || Some(unescaped(words.next()?).to_string_lossy().into_owned());
    Some(Mount { point, root, kind: word()?, source: word()? })
}

/// Decodes a word: the kernel writes blanks and backslashes as octal numbers.
fn unescaped(mut word: &[u8]) -> OsString {
    let mut plain = Vec::new();
    while let [first, others @ ..] = word {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = word {
            plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            word = after;
        } else {
            plain.push(*first);
            word = others;
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_from_the_kernels_table() {
        let line =
            b"36 35 98:0 /below /a\\040b/\\134c rw,noatime shared:1 master:2 - ext4 /dev/loop\\0110 rw,discard";
        let mount = parse(line).unwrap();
        assert_eq!(
            (mount.point.as_path(), mount.root.as_path()),
            (Path::new("/a b/\\c"), Path::new("/below"))
        );
        assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("ext4", "/dev/loop\t0"));
        assert_eq!(unescaped(b"/plain\\4/\\"), "/plain\\4/\\");
        assert!(parse(b"").is_none() && parse(b"1 2 3:4 / /without rw ext4").is_none());
    }

    #[test]
    fn every_path_is_on_a_mount() {
        assert_eq!(mount_of(Path::new("/proc/self")).unwrap().kind, "proc");
        assert!(mount_of(Path::new(env!("CARGO_MANIFEST_DIR"))).is_ok());
        assert!(mount_of(Path::new("/no such place")).is_err());
    }

    #[test]
    fn a_separate_file_system_needs_more_space_than_its_data() {
        assert_eq!(FileSystem::Disk.disk_bytes(1 << 30), 1 << 30);
        assert_eq!(FileSystem::Xfs.disk_bytes(1 << 30), (3 << 29) + BYTES_MIN);
    }
}
