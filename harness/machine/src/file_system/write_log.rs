//! A file system on a block device that logs its writes and flushes, and every state in which a power cut can leave it.
//!
//! [`LoggedFileSystem`] is a file system for a trial, like any other to those who use it. When it is finished, its
//! [`WriteLog`] lists the [`CrashState`]s, and [`CrashReplay`] mounts them one after the other. A position of the log
//! says what was promised by when:
//!
//! ```no_run
//! # use machine::error::Result;
//! # use machine::file_system::FileSystem;
//! # use machine::file_system::write_log::{CrashPlan, CrashReplay, LoggedFileSystem};
//! # use machine::process::Launcher;
//! # fn back_up(_: &std::path::Path) -> Result<()> { Ok(()) }
//! # fn is_restorable(_: &std::path::Path) -> bool { true }
//! # fn example(launcher: &Launcher) -> Result<()> {
//! let destination = LoggedFileSystem::make(FileSystem::Ext4, launcher, "destination", 64 << 20)?;
//! let from = destination.position()?;
//! back_up(destination.point())?;
//! let success = destination.position()?;
//! let log = destination.finish()?;
//!
//! let plan = CrashPlan { seed: 1, reorderings_per_interval: 20, from, markers: vec![success], until: None };
//! let mut replay = CrashReplay::make(&log, launcher, "crash-state")?;
//! for state in log.crash_states(plan) {
//!     let mounted = replay.mount(&state)?;
//!     // Before success was reported, a damaged artifact is fair.
//!     assert!(is_restorable(mounted.point()) || !state.can_follow(success), "{state}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The model of a disk
//!
//! - A write that is complete may still be in the disk's volatile cache. A flush makes all writes durable that were
//!   complete before it. A write with "force unit access" is durable when it is complete.
//! - A power cut between two flushes leaves any subset of the writes since the first of them, whatever their order.
//!   They are torn only between aligned blocks of 4 KiB, as on disks with physical sectors of this size.
//! - Writes to the same block keep their order: the later one wins, if it is there. A discard makes its blocks 0, or is
//!   lost as a whole.
//!
//! The states are: after each flush, without the writes that follow; at each marker, with all that was complete; at the
//! end of the log; and seeded reorderings, which are all subsets if there are few. Which states are judged follows from
//! [`CrashState::can_follow`]: a state can follow everything up to the next flush, so a promise that no flush
//! preceded is found broken by the state that has none of the later writes.
//!
//! # Limits
//!
//! - The daemon gets one read or write at a time, and logs each when it is complete. Writes that a disk would complete
//!   while it flushes count as durable: a file system that waits for its writes before it flushes, as ext4 and XFS
//!   do, does not depend on them.
//! - A loop device splits "force unit access" into a write and a flush, so more is durable than on a disk that supports
//!   it.
//! - Disks that lie about flushes, tear blocks of 4 KiB, or damage blocks that were not being written are not modelled.
//! - The log contains what reached the device. A file that was written and never synchronised is missing in all states,
//!   until the kernel writes it back.
//! - Latency on it means nothing: the image is in the page cache, and requests wait for each other.
//!
//! # What it leaves
//!
//! All mounts are in the work directory, loop devices are released with their mounts, and the daemon carries the mark
//! of the work directory. So the next start finds everything that a killed run leaves. The exported file is in a hidden
//! directory because [`sweep`](super::sweep) unmounts in the reverse order of names: the file system before its device.

mod daemon;
mod log;
mod recording;
mod replay;
mod states;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::FileSystem;
use super::commands::{LOSETUP, MKFS_EXT4, MKFS_XFS, MOUNT, command, loop_devices, run};
use super::mounts::{BUSY_TIMEOUT, mount_of, unmount_all, unmount_completely};
use crate::error::{Error, Result};
use crate::process::{Launcher, TICK};
use daemon::Daemon;
use daemon::DeviceFiles;
pub use daemon::QEMU_STORAGE_DAEMON;
pub use log::{Entry, LogPosition};
pub use recording::WriteLog;
pub use replay::{CrashReplay, MountedCrashState};
use replay::{check, copy_sparse};
pub use states::{CrashKind, CrashPlan, CrashState, CrashStates};

/// What is missing on this machine to log the writes of a file system of this kind.
pub fn missing_for_write_logs(kind: FileSystem) -> Option<String> {
    if !kind.can_lose_power() {
        return Some(format!("the writes of ext4 and xfs can be logged, those of {} cannot", kind.name()));
    }
    if let Some(missing) = kind.missing() {
        return Some(missing);
    }
    if !Path::new("/dev/fuse").exists() {
        return Some("/dev/fuse is missing: load the kernel module 'fuse'".into());
    }
    QEMU_STORAGE_DAEMON.missing()
}

/// A mounted file system whose writes and flushes are logged. Dropping it unmounts it and removes the log.
///
/// The thread that makes it must live longer than it: the daemon is killed when that thread ends.
pub struct LoggedFileSystem {
    kind: FileSystem,
    point: PathBuf,
    /// `None` after it was finished.
    files: Option<DeviceFiles>,
    daemon: Option<Daemon>,
}

impl LoggedFileSystem {
    /// Creates a file system of `bytes` bytes and mounts it at a new directory, `name` in the launcher's work
    /// directory. XFS needs 300 MiB. The log needs disk space for all that is written.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing or what failed; [`Error::Interrupted`].
    pub fn make(kind: FileSystem, launcher: &Launcher, name: &str, bytes: u64) -> Result<LoggedFileSystem> {
        let refused = |cause: String| {
            Error::Environment(format!(
                "cannot create a file system with a write log ({}): {cause}",
                kind.name()
            ))
        };
        if let Some(missing) = missing_for_write_logs(kind) {
            return Err(refused(missing));
        }
        // Canonical, as in the kernel's table of mounts.
        let directory = launcher.work_directory().canonicalize().context("there is no work directory")?;
        let (point, files) = (directory.join(name), directory.join(format!(".{name}.logged")));
        std::fs::create_dir(&point).map_err(|error| refused(error.to_string()))?;
        // Constructed before anything else is created, so that dropping it cleans up after any error.
        let files = Some(DeviceFiles { directory: files });
        let mut made = LoggedFileSystem { kind, point, files, daemon: None };
        made.fill(launcher, bytes).map_err(|error| match error {
            Error::Environment(cause) => refused(cause),
            other => other,
        })?;
        Ok(made)
    }

    fn fill(&mut self, launcher: &Launcher, bytes: u64) -> Result<()> {
        let files = self.files();
        std::fs::create_dir(&files.directory).context("cannot create a directory for a write log")?;
        let create = |path: PathBuf| {
            let file = File::options().read(true).write(true).create_new(true).open(&path);
            let file = file.and_then(|file| file.set_len(bytes).map(|()| file));
            file.with_context(|| format!("cannot create {}", path.display()))
        };
        let (image, initial) = (create(files.image())?, create(files.initial())?);
        // Made before the log begins. Everything is written at once, so that no initialisation follows in the
        // background; blocks of 4 KiB, as the file systems of operators have them.
        let make = match self.kind {
            FileSystem::Xfs => command(&MKFS_XFS, &["-q", "-f", "-K"], &[&files.image()]),
            _ => {
                let lazily = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
                command(&MKFS_EXT4, &["-q", "-F", "-b", "4096", "-E", lazily], &[&files.image()])
            }
        };
        run(launcher, make)?;
        copy_sparse(&image, &initial).context("cannot copy an image")?;
        let (daemon, exported) = (Daemon::start(launcher, files)?, files.exported());
        self.daemon = Some(daemon);
        run(launcher, command(&MOUNT, &["-o", "loop", "-t", self.kind.name()], &[&exported, &self.point]))?;
        let device = mount_of(&self.point)?.source;
        // Direct requests are those that the daemon gets one by one (see there). Nothing uses the file system before.
        run(launcher, command(&LOSETUP, &["--direct-io=on"], &[Path::new(&device)]))
    }

    fn files(&self) -> &DeviceFiles {
        self.files.as_ref().expect("it is not finished")
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// This moment in the log: every request that was complete is before it. This is one system call, so it can be
    /// noted for each acknowledged write.
    ///
    /// # Errors
    /// [`Error::Environment`] when the log cannot be accessed.
    pub fn position(&self) -> Result<LogPosition> {
        let log = self.files().log().metadata().context("cannot access the write log")?;
        Ok(LogPosition(log.len()))
    }

    /// Unmounts it and returns the log, which contains the unmounting. Processes that use it must have ended.
    ///
    /// # Errors
    /// [`Error::Environment`] when it is still in use, or the log is incomplete or damaged: replaying all of it must
    /// give the content of the device.
    pub fn finish(mut self) -> Result<WriteLog> {
        self.unmount()?;
        self.daemon.take().expect("it is not finished").end()?;
        self.remove_mounts();
        let log = WriteLog::read(self.kind, self.files.take().expect("it is not finished"))?;
        check(&log)?;
        Ok(log)
    }

    /// Unmounts it completely, so that nothing is written any more.
    fn unmount(&self) -> Result<()> {
        let refused =
            |cause: &str| Error::Environment(format!("cannot unmount {}: {cause}", self.point.display()));
        unmount_completely(&self.point).map_err(|error| refused(error.desc()))?;
        let give_up = Instant::now() + BUSY_TIMEOUT;
        while !loop_devices(&self.files().exported())?.is_empty() {
            if Instant::now() > give_up {
                return Err(refused("its loop device is still in use"));
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Unmounts what is left. If this fails, the next start does it.
    fn remove_mounts(&self) {
        let _ = unmount_all(&self.point);
        if let Some(files) = &self.files {
            let _ = unmount_all(&files.directory);
        }
        let _ = std::fs::remove_dir(&self.point);
    }
}

impl Drop for LoggedFileSystem {
    fn drop(&mut self) {
        if self.files.is_none() {
            return;
        }
        // The file system is unmounted while its device still works.
        let _ = unmount_all(&self.point);
        self.daemon.take();
        self.remove_mounts();
    }
}
