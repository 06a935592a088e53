//! File systems that the harness makes for a trial: in a sparse file, mounted over a loop device, gone afterwards.
//!
//! `mount -o loop` leaves the loop device to the mount: the kernel gives it back with the last use of the mount, however
//! that comes about. So a mount is all that a killed run can leave, and it is found by where it is. What LVM and ZFS keep
//! besides is found by the note of it.

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

/// Where the data of a trial lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// On the file system of the working directory.
    #[default]
    Disk,
    /// On a btrfs of its own, the live data in a subvolume.
    Btrfs,
    /// On an ext4 of its own.
    Ext4,
    /// On an ext4 on a logical volume of its own, with room for snapshots in its group.
    Lvm,
    /// On an XFS of its own.
    Xfs,
    /// On a ZFS of its own: a pool of one file.
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

/// The smallest XFS is 300 MB; the image is sparse.
const BYTES_MIN: u64 = 512 << 20;
/// How long a mount may be in use by what was killed a moment ago.
const PATIENCE: Duration = Duration::from_secs(10);

impl FileSystem {
    /// Those that the harness makes.
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

    /// The type that it is mounted as.
    fn kind(self) -> &'static str {
        match self {
            FileSystem::Lvm => FileSystem::Ext4.name(),
            other => other.name(),
        }
    }

    /// The command that makes it; `None` where nothing is made.
    pub fn maker(self) -> Option<&'static Tool> {
        match self {
            FileSystem::Disk => None,
            FileSystem::Btrfs => Some(&MKFS_BTRFS),
            FileSystem::Ext4 | FileSystem::Lvm => Some(&MKFS_EXT4),
            FileSystem::Xfs => Some(&MKFS_XFS),
            FileSystem::Zfs => Some(&ZPOOL),
        }
    }

    /// The command of what it lies on, or of what makes its subvolumes.
    pub fn manager(self) -> Option<&'static Tool> {
        match self {
            FileSystem::Btrfs => Some(&BTRFS),
            FileSystem::Lvm => Some(&LVM),
            _ => None,
        }
    }

    /// All commands that making it takes.
    pub fn tools(self) -> Vec<&'static Tool> {
        self.maker().into_iter().chain(self.manager()).chain([&MOUNT, &LOSETUP]).collect()
    }

    /// True where a file can share its blocks with another one, and is written anew where it does.
    pub fn shares_blocks(self) -> bool {
        matches!(self, FileSystem::Btrfs | FileSystem::Xfs)
    }

    /// Disk space for this much data, at the most: a file system of its own keeps some for itself, and what is copied
    /// when it is written takes its place for a while.
    pub fn disk_bytes(self, data_bytes: u64) -> u64 {
        match self {
            FileSystem::Disk => data_bytes,
            // Its group has room for a snapshot of it, too.
            FileSystem::Lvm => data_bytes * 5 / 2 + BYTES_MIN,
            _ => data_bytes * 3 / 2 + BYTES_MIN,
        }
    }

    /// Makes a directory that can be snapshot where the file system has a way to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_directory(self, launcher: &Launcher, path: &Path) -> Result<()> {
        match self {
            FileSystem::Btrfs => run(launcher, command(&BTRFS, &["subvolume", "create"], &[path])),
            _ => Ok(std::fs::create_dir(path).with_context(|| format!("cannot create {}", path.display()))?),
        }
    }

    /// Tries to make one in the launcher's work directory. What keeps the harness from it, and what to do about that.
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

    /// What this machine lacks for it.
    fn missing(self) -> Option<String> {
        if !geteuid().is_root() {
            return Some("only root can mount it: run this as root".into());
        }
        if !Path::new("/dev/loop-control").exists() {
            return Some("there is no /dev/loop-control: load the kernel's module 'loop'".into());
        }
        // A ZFS in user space does not tell its version.
        let is_untold = |tool: &&Tool| tool.command == ZPOOL.command && tool.path().is_some();
        self.tools().into_iter().filter(|tool| !is_untold(tool)).find_map(Tool::missing)
    }
}

/// A file system of the harness's own. Dropping it unmounts and removes it.
pub struct Mounted {
    point: PathBuf,
    image: PathBuf,
    /// What it lies on, where that has to be removed by hand.
    noted: Option<Noted>,
}

impl Mounted {
    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Makes one of at most `bytes` and mounts it at a new directory, `name` in the launcher's work directory.
    ///
    /// # Errors
    /// [`Error::Environment`] with what this machine lacks or refuses; [`Error::Interrupted`].
    pub fn make(kind: FileSystem, launcher: &Launcher, name: &str, bytes: u64) -> Result<Mounted> {
        let refused = |cause: String| {
            Error::Environment(format!("cannot make a file system of its own ({}): {cause}", kind.name()))
        };
        let maker = kind.maker().ok_or_else(|| refused("this one is the disk's".into()))?;
        if let Some(missing) = kind.missing() {
            return Err(refused(missing));
        }
        // As the kernel's table of mounts is going to call it.
        let directory = launcher.work_directory().canonicalize().context("there is no work directory")?;
        // Before anything is there, so that whatever happens is undone.
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
        let device = device.context("a mount that was just made is gone")?;
        // Or the disk would cache everything a second time: what was put out of the cache would still be in memory.
        run(launcher, command(&LOSETUP, &["--direct-io=on"], &[Path::new(&device)]))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What cannot be undone now is found by the next start.
        let _ = sweep(&self.point);
        let stays = self.noted.take().is_some_and(Noted::stays);
        let _ = std::fs::remove_dir(&self.point);
        // A loop device is found by its image.
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
    // Most commands end before anybody asks.
    launcher.cancel.check()?;
    let child = launcher.spawn(Account::Preparation, command)?;
    let ended = Group::new(vec![child]).wait(|_| launcher.cancel.check())?;
    ended.result()?;
    Ok(())
}

/// Unmounts whatever is mounted in a directory, the innermost first, and counts it; then removes what LVM and ZFS keep
/// there.
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
            // Nobody finds it any more, and it ends with its last user.
            Err(Errno::EBUSY) => return umount2(point, MntFlags::MNT_DETACH),
            other => return other,
        }
    }
}

/// True where files in a directory can share blocks: tries it with `cp`, as a snapshot does.
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
    /// Where it is.
    pub point: PathBuf,
    /// What of the file system is there: all of it, or a directory of it.
    pub root: PathBuf,
    /// The type of the file system, as the kernel names it.
    pub kind: String,
    /// What is mounted: a device, where it is one.
    pub source: String,
}

/// The mount that holds a file or directory: the one with the longest path above it.
///
/// # Errors
/// When there is no such file or directory, or the kernel does not tell.
pub fn mount_of(path: &Path) -> Result<Mount> {
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    let above = mounts()?.into_iter().filter(|mount| path.starts_with(&mount.point));
    // Of two at the same place, the later one hides the earlier one.
    let mount = above.max_by_key(|mount| mount.point.as_os_str().len());
    Ok(mount.context("nothing is mounted at /")?)
}

fn mounts() -> Result<Vec<Mount>> {
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read what is mounted")?;
    Ok(table.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// A line of proc_pid_mountinfo(5): the fourth word is the root and the fifth the place, and after a dash come type and
/// source.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let root = PathBuf::from(unescaped(words.nth(3)?));
    let point = PathBuf::from(unescaped(words.next()?));
    words.find(|word| *word == b"-")?;
    let mut word = || Some(unescaped(words.next()?).to_string_lossy().into_owned());
    Some(Mount { point, root, kind: word()?, source: word()? })
}

/// The kernel writes blanks and backslashes as octal numbers.
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
    fn everything_lies_on_a_mount() {
        assert_eq!(mount_of(Path::new("/proc/self")).unwrap().kind, "proc");
        assert!(mount_of(Path::new(env!("CARGO_MANIFEST_DIR"))).is_ok());
        assert!(mount_of(Path::new("/no such place")).is_err());
    }

    #[test]
    fn a_file_system_of_its_own_takes_more_than_its_data_and_the_disk_no_more() {
        assert_eq!(FileSystem::Disk.disk_bytes(1 << 30), 1 << 30);
        assert_eq!(FileSystem::Xfs.disk_bytes(1 << 30), (3 << 29) + BYTES_MIN);
    }
}
