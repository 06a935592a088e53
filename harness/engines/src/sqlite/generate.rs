//! Writes a generated database to a file: on all cores, bypassing the page cache, and durably. On an error, no file is
//! left.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{io, thread};

use machine::error::{Error, Result};
use memmap2::MmapMut;
use model::dataset::{DatasetSpec, Generated};

use crate::disk::{partial_path, refused, require_room, sync_directory, with_suffix};
use crate::sqlite::dataset::plan;
use crate::sqlite::pages::{DatabasePages, PAGE_BYTES, Record};

/// Pages that a thread writes at once: 4 MiB are enough to keep a disk busy, and need little memory.
const CHUNK_PAGES: u64 = 1024;
/// So that one thread computes while another one waits for the disk.
const THREADS_PER_CORE: usize = 2;
/// More threads than this would only wait for the disk.
const THREADS_MAX: usize = 8;
/// How soon a request to stop is noticed.
const POLL: Duration = Duration::from_millis(50);
/// Suffixes of files that SQLite treats as part of the database next to them.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Writes the database of `spec` to `path`, which must not exist yet. The file is named `<path>.partial` until all of
/// it is durable.
///
/// `cancel` is called about 20 times a second, and `progress` is called with the number of bytes written so far.
///
/// # Errors
///
/// [`Error::Input`] for an invalid specification or a path that exists, [`Error::Environment`] without enough disk
/// space or without permission, and [`Error::Interrupted`] after `cancel` returned true. In each case no file is left
/// behind.
pub fn generate(
    spec: &DatasetSpec,
    path: &Path,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Generated> {
    let (database, generated) = plan(spec)?;
    refuse_occupied(path)?;
    let directory = directory_of(path);
    require_room(directory, generated.bytes)?;

    let partial = Partial(partial_path(path));
    let file = create(&partial.0)?;
    write(&database, &file, cancel, progress).map_err(|error| error.at(&partial.0))?;
    file.sync_all().map_err(|error| refused("write", &partial.0, error))?;
    fs::rename(&partial.0, path).map_err(|error| refused("create", path, error))?;
    sync_directory(directory)?;
    Ok(generated)
}

/// The files that SQLite would treat as part of the database at `path`.
pub(crate) fn companions(path: &Path) -> impl Iterator<Item = PathBuf> {
    COMPANIONS.iter().map(move |suffix| with_suffix(path, suffix))
}

/// Also refuses companion files: a stale journal would be rolled back into the new database when it is first opened.
fn refuse_occupied(path: &Path) -> Result<()> {
    match std::iter::once(path.to_owned()).chain(companions(path)).find(|place| place.exists()) {
        None => Ok(()),
        Some(place) => Err(Error::Input(format!(
            "{} already exists: choose another path for the dataset, or remove it",
            place.display()
        ))),
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file that is removed unless it is renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename it no longer exists. Otherwise an error has been reported already, and only the first
        // counts.
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the file with direct I/O, which halves the memory traffic and leaves the page cache to other programs. Falls
/// back to the page cache if the file system does not support direct I/O.
fn create(path: &Path) -> Result<File> {
    let open =
        |flags| OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path);
    let opened = match open(libc::O_DIRECT).and_then(|file| accepts_direct_writes(&file).map(|()| file)) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open(0),
        other => other,
    };
    opened.map_err(|error| refused("create", path, error))
}

/// Some file systems accept the flag, but refuse the first write.
fn accepts_direct_writes(file: &File) -> io::Result<()> {
    let page = MmapMut::map_anon(PAGE_BYTES)?;
    file.write_all_at(&page, 0)
}

/// Why not all pages were written.
enum Unwritten {
    Cancelled,
    Refused(io::Error),
    Bug(anyhow::Error),
}

impl Unwritten {
    fn at(self, path: &Path) -> Error {
        match self {
            Unwritten::Cancelled => Error::Interrupted,
            Unwritten::Refused(error) => refused("write", path, error),
            Unwritten::Bug(error) => Error::Bug(error),
        }
    }
}

/// Writes all pages: worker threads each take the next chunk, and this thread reports progress.
fn write(
    database: &DatabasePages,
    file: &File,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Unwritten> {
    let work = Work { database, file, next_chunk: AtomicU64::new(0), stop: AtomicBool::new(false) };
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = (cores * THREADS_PER_CORE).min(THREADS_MAX);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let writers: Vec<_> = (0..threads)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(|| work.run(sender))
            })
            .collect();
        drop(sender);
        let watched = watch(&receiver, cancel, progress);
        work.stop.store(true, Ordering::Relaxed);
        for writer in writers {
            if writer.join().is_err() {
                return Err(Unwritten::Bug(anyhow::anyhow!("a thread that generates a dataset panicked")));
            }
        }
        watched
    })
}

/// Reports progress until the last writer has ended.
fn watch(
    chunks: &Receiver<io::Result<u64>>,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Unwritten> {
    let mut written = 0;
    loop {
        if cancel() {
            return Err(Unwritten::Cancelled);
        }
        match chunks.recv_timeout(POLL) {
            Ok(Ok(bytes)) => {
                written += bytes;
                progress(written);
            }
            Ok(Err(error)) => return Err(Unwritten::Refused(error)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// The state that the writers share.
struct Work<'work> {
    database: &'work DatabasePages,
    file: &'work File,
    next_chunk: AtomicU64,
    stop: AtomicBool,
}

impl Work<'_> {
    /// Writes chunks until none are left, and reports the size of each.
    fn run(&self, report: Sender<io::Result<u64>>) {
        let write = || -> io::Result<()> {
            // A separate mapping starts at a page boundary, as direct I/O requires.
            let mut buffer = MmapMut::map_anon(CHUNK_PAGES as usize * PAGE_BYTES)?;
            let mut record = Record::default();
            while !self.stop.load(Ordering::Relaxed) {
                let first = self.next_chunk.fetch_add(1, Ordering::Relaxed) * CHUNK_PAGES;
                let pages = CHUNK_PAGES.min(self.database.pages().saturating_sub(first));
                if pages == 0 {
                    break;
                }
                let chunk = &mut buffer[..pages as usize * PAGE_BYTES];
                for (number, page) in (first + 1..).zip(chunk.chunks_exact_mut(PAGE_BYTES)) {
                    self.database.write_page(number, page, &mut record);
                }
                self.file.write_all_at(chunk, first * PAGE_BYTES as u64)?;
                // After a failure elsewhere, the receiver is gone; `stop` is about to be set.
                let _ = report.send(Ok(chunk.len() as u64));
            }
            Ok(())
        };
        if let Err(error) = write() {
            let _ = report.send(Err(error));
        }
    }
}
