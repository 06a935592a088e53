//! The kernel's table of mounts, and unmounting.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::throttle;
use crate::error::{Error, Result};
use crate::process::TICK;

/// How long a mount may stay busy because of processes that were just killed.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

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

/// All mounts, in the order of the kernel.
pub(super) fn mounts() -> Result<Vec<Mount>> {
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read the table of mounts")?;
    Ok(table.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// Parses a line of proc_pid_mountinfo(5): the fourth word is the root and the fifth the mount point; type and source
/// follow after a dash. Not read with procfs, which does not decode words, and fails for paths that are not UTF-8.
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

/// Unmounts everything that is mounted in a directory, the innermost first. Returns the number of unmounted file
/// systems.
///
/// # Errors
/// [`Error::Environment`] when something cannot be unmounted.
pub(super) fn unmount_all(directory: &Path) -> Result<usize> {
    let mut points: Vec<PathBuf> = mounts()?.into_iter().map(|mount| mount.point).collect();
    points.retain(|point| point.starts_with(directory));
    points.sort();
    for point in points.iter().rev() {
        throttle::release(point);
        unmount(point).map_err(|error| {
            Error::Environment(format!("cannot unmount {}: {}", point.display(), error.desc()))
        })?;
    }
    Ok(points.len())
}

fn unmount(point: &Path) -> nix::Result<()> {
    match unmount_completely(point) {
        // It is detached from the directory tree, and ends with its last user.
        Err(Errno::EBUSY) => umount2(point, MntFlags::MNT_DETACH),
        other => other,
    }
}

/// Unmounts a file system, so that no process uses it any more. Waits for users that were just killed.
pub(super) fn unmount_completely(point: &Path) -> nix::Result<()> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match umount2(point, MntFlags::empty()) {
            Err(Errno::EBUSY) if Instant::now() < give_up => std::thread::sleep(TICK),
            other => return other,
        }
    }
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
}
