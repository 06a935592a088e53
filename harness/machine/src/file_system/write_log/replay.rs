//! Makes the crash states of a log, and mounts them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::super::commands::{MOUNT, command, run};
use super::super::mounts::{unmount_all, unmount_completely};
use super::log::Entry;
use super::recording::WriteLog;
use super::states::{BLOCK_BYTES, CrashState};
use crate::error::{Error, Result};
use crate::process::Launcher;

/// Number of bytes that are copied at once: a multiple of a block.
const COPY_BYTES: usize = 1 << 20;

/// Makes crash states of a log, and mounts one at a time. States are cheap in the order of
/// [`WriteLog::crash_states`]: each flush is applied once.
///
/// The images are in memory (a tmpfs in the work directory), with at most twice the bytes that the file system has
/// allocated. Several replays of the same log can be used at the same time, each with a name of its own.
pub struct CrashReplay<'a> {
    log: &'a WriteLog,
    launcher: Launcher,
    data: File,
    /// The content after the first `applied` entries. Closed before the memory is unmounted.
    durable: File,
    applied: usize,
    memory: Memory,
    point: PathBuf,
}

impl<'a> CrashReplay<'a> {
    /// Prepares the replay. States are mounted at the directory `name` in the launcher's work directory.
    ///
    /// # Errors
    /// [`Error::Environment`] when the machine rejects it; [`Error::Interrupted`].
    pub fn make(log: &'a WriteLog, launcher: &Launcher, name: &str) -> Result<CrashReplay<'a>> {
        let directory = launcher.work_directory().canonicalize().context("there is no work directory")?;
        let data = File::open(log.files.log()).context("cannot open the write log")?;
        // Hidden, because mounts are removed in the reverse order of their names: a state before the memory below it.
        let memory =
            Memory::mount(launcher, directory.join(format!(".{name}.replay")), 3 * log.device_bytes)?;
        let durable = create(&memory.0.join("durable"), log.device_bytes)?;
        let point = directory.join(name);
        let launcher = launcher.clone();
        std::fs::create_dir(&point).with_context(|| format!("cannot create {}", point.display()))?;
        let mut replay = CrashReplay { log, launcher, data, durable, applied: 0, memory, point };
        replay.start_over()?;
        Ok(replay)
    }

    /// Mounts a state, after which its file system has replayed its journal. It is unmounted when the result is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be mounted; [`Error::Interrupted`].
    pub fn mount(&mut self, state: &CrashState) -> Result<MountedCrashState<'_>> {
        let image = self.memory.0.join("state");
        match std::fs::remove_file(&image) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(anyhow::Error::from(error).context("cannot remove a crash state").into());
            }
            _ => {}
        }
        self.write_image(state, &image)?;
        let kind = self.log.kind.name();
        // The journal is replayed by the mount itself. XFS does not mount two file systems with the same UUID.
        let options = if kind == "xfs" { "loop,nouuid" } else { "loop" };
        let mounted =
            run(&self.launcher, command(&MOUNT, &["-t", kind, "-o", options], &[&image, &self.point]));
        mounted.map_err(|error| match error {
            Error::Environment(cause) => {
                Error::Environment(format!("cannot mount a crash state ({state}): {cause}"))
            }
            other => other,
        })?;
        Ok(MountedCrashState { point: &self.point })
    }

    /// Writes a state to a new, sparse file, as it is before any recovery.
    ///
    /// # Errors
    /// [`Error::Environment`] when a file cannot be read or written.
    pub fn write_image(&mut self, state: &CrashState, to: &Path) -> Result<()> {
        if state.durable < self.applied {
            self.start_over()?;
        }
        let entries = &self.log.entries;
        for entry in &entries[self.applied..state.durable] {
            apply(&self.data, entry, 0..entry.length, &self.durable)?;
        }
        self.applied = state.durable;
        let image = create(to, self.log.device_bytes)?;
        copy_sparse(&self.durable, &image).context("cannot copy an image")?;
        for (number, block) in &state.kept {
            let entry = &entries[*number];
            let range = if entry.is_discard() { 0..entry.length } else { block_range(entry, *block) };
            apply(&self.data, entry, range, &image)?;
        }
        Ok(())
    }

    /// Goes back to the state before the first entry.
    fn start_over(&mut self) -> Result<()> {
        let initial = File::open(self.log.files.initial()).context("cannot open an image")?;
        let refill = || {
            self.durable.set_len(0)?;
            self.durable.set_len(self.log.device_bytes)?;
            copy_sparse(&initial, &self.durable)
        };
        refill().context("cannot copy an image")?;
        self.applied = 0;
        Ok(())
    }
}

/// Applies the bytes `range` of an entry to an image. A discard makes them 0.
fn apply(log: &File, entry: &Entry, range: Range<u64>, image: &File) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES.min((range.end - range.start) as usize)];
    let mut place = range.start;
    while place < range.end {
        let part = &mut buffer[..COPY_BYTES.min((range.end - place) as usize)];
        if !entry.is_discard() {
            log.read_exact_at(part, entry.data + place).context("cannot read the write log")?;
        }
        image.write_all_at(part, entry.offset + place).context("cannot write an image")?;
        place += part.len() as u64;
    }
    Ok(())
}

/// Checks that all entries of a log give the content of the device.
///
/// # Errors
/// [`Error::Environment`] if they do not.
pub(super) fn check(log: &WriteLog) -> Result<()> {
    let open = |path: PathBuf| File::open(&path).with_context(|| format!("cannot open {}", path.display()));
    let (data, initial, image) =
        (open(log.files.log())?, open(log.files.initial())?, open(log.files.image())?);
    let path = log.files.directory.join("check");
    let replayed = create(&path, log.device_bytes)?;
    copy_sparse(&initial, &replayed).context("cannot copy an image")?;
    for entry in &log.entries {
        apply(&data, entry, 0..entry.length, &replayed)?;
    }
    let mut buffers = [vec![0; COPY_BYTES], vec![0; COPY_BYTES]];
    for place in (0..log.device_bytes).step_by(COPY_BYTES) {
        let length = COPY_BYTES.min((log.device_bytes - place) as usize);
        for (file, buffer) in [&replayed, &image].into_iter().zip(&mut buffers) {
            file.read_exact_at(&mut buffer[..length], place).context("cannot read an image")?;
        }
        if buffers[0][..length] != buffers[1][..length] {
            return Err(Error::Environment(format!(
                "the write log is damaged: replaying it does not give the content of the device (from byte {place} on)"
            )));
        }
    }
    std::fs::remove_file(&path).context("cannot remove an image")?;
    Ok(())
}

impl Drop for CrashReplay<'_> {
    fn drop(&mut self) {
        // If this fails, it is removed with the work directory.
        let _ = std::fs::remove_dir(&self.point);
    }
}

/// A file system in memory. Dropping it unmounts it.
struct Memory(PathBuf);

impl Memory {
    fn mount(launcher: &Launcher, point: PathBuf, bytes: u64) -> Result<Memory> {
        std::fs::create_dir(&point).with_context(|| format!("cannot create {}", point.display()))?;
        let memory = Memory(point);
        let options = format!("mode=700,size={bytes}");
        run(launcher, command(&MOUNT, &["-t", "tmpfs", "-o", &options, "tmpfs"], &[&memory.0]))?;
        Ok(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // If this fails, the next start does it.
        let _ = unmount_all(&self.0);
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The bytes of a write that are in its aligned block with this index.
fn block_range(entry: &Entry, block: usize) -> Range<u64> {
    let first = entry.offset / BLOCK_BYTES + block as u64;
    let begin = (first * BLOCK_BYTES).max(entry.offset);
    let end = ((first + 1) * BLOCK_BYTES).min(entry.offset + entry.length);
    begin - entry.offset..end - entry.offset
}

fn create(path: &Path, bytes: u64) -> Result<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path);
    let file = file.and_then(|file| file.set_len(bytes).map(|()| file));
    Ok(file.with_context(|| format!("cannot create {}", path.display()))?)
}

/// Copies the content of an image to an empty one of the same size, without holes and blocks of zeros.
pub(super) fn copy_sparse(from: &File, to: &File) -> std::io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut hole = 0;
    loop {
        let data = match lseek(from, hole, Whence::SeekData) {
            Err(Errno::ENXIO) => return Ok(()),
            found => found?,
        };
        hole = lseek(from, data, Whence::SeekHole)?;
        let mut place = data as u64;
        while place < hole as u64 {
            let length = COPY_BYTES.min((hole as u64 - place) as usize);
            let part = &mut buffer[..length];
            from.read_exact_at(part, place)?;
            for (number, block) in part.chunks(BLOCK_BYTES as usize).enumerate() {
                if block.iter().any(|byte| *byte != 0) {
                    to.write_all_at(block, place + (number as u64) * BLOCK_BYTES)?;
                }
            }
            place += length as u64;
        }
    }
}

/// A crash state that is mounted. Dropping it unmounts it.
pub struct MountedCrashState<'a> {
    point: &'a Path,
}

impl MountedCrashState<'_> {
    /// Where it is mounted. What is written there is lost when it is unmounted.
    pub fn point(&self) -> &Path {
        self.point
    }
}

impl Drop for MountedCrashState<'_> {
    fn drop(&mut self) {
        if unmount_completely(self.point).is_err() {
            // It is still in use, and is detached from the directory tree.
            let _ = unmount_all(self.point);
        }
    }
}
