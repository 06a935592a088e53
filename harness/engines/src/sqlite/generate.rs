//! Writes a generated database to a file: on all cores, past the page cache, durably, or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{io, thread};

use bytesize::ByteSize;
use machine::error::{Error, Result};
use memmap2::MmapMut;
use model::dataset::{DatasetSpec, Generated};
use nix::sys::statvfs::statvfs;

use crate::sqlite::dataset::plan;
use crate::sqlite::pages::{Database, PAGE_BYTES, Record};

/// Pages that a thread writes at once: 4 MiB keep a disk busy, and the memory small.
const CHUNK_PAGES: u64 = 1024;
/// While one thread waits for the disk, another one computes.
const THREADS_PER_CORE: usize = 2;
/// More threads than this only wait for the disk.
const THREADS_MAX: usize = 8;
/// How soon a request to stop is noticed.
const POLL: Duration = Duration::from_millis(50);
/// Files that SQLite takes for a part of the database beside them.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Writes the database of `spec` to `path`, where nothing may be yet. The file has another name,
/// `<path>.partial`, until all of it is durable.
///
/// `cancel` is asked some 20 times a second, and `progress` told how many bytes are written in all.
///
/// # Errors
///
/// [`Error::Input`] for a bad specification or an occupied path, [`Error::Environment`] where there is no room
/// or no permission, and [`Error::Interrupted`] after `cancel` said yes. In each case no file is left behind.
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

/// Where the database is until it is complete.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    with_suffix(path, ".partial")
}

/// The files that SQLite would take for a part of the database at `path`.
pub(crate) fn companions(path: &Path) -> impl Iterator<Item = PathBuf> {
    COMPANIONS.iter().map(move |suffix| with_suffix(path, suffix))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| refused("write", directory, error))
}

/// What an operating system's refusal means to the user.
pub(crate) fn refused(action: &str, place: &Path, error: io::Error) -> Error {
    let place = place.display();
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "create the directory first",
        io::ErrorKind::NotADirectory => "choose a path below a directory",
        io::ErrorKind::PermissionDenied => "choose a place that you may write to, or change its permissions",
        io::ErrorKind::ReadOnlyFilesystem => "choose a place on a file system that can be written to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space or choose another place"
        }
        _ => "check the disk and its file system, or choose another place",
    };
    Error::Environment(format!("cannot {action} {place}: {error}; {cure}"))
}

/// A stale journal would be rolled back into the new database by the first who opens it.
fn refuse_occupied(path: &Path) -> Result<()> {
    match std::iter::once(path.to_owned()).chain(companions(path)).find(|place| place.exists()) {
        None => Ok(()),
        Some(place) => Err(Error::Input(format!(
            "{} is already there: choose another path for the dataset, or remove it",
            place.display()
        ))),
    }
}

/// Refuses a place that has no room for so many bytes.
pub(crate) fn require_room(directory: &Path, bytes: u64) -> Result<()> {
    let stat = statvfs(directory).map_err(|error| refused("use", directory, error.into()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    // A file system without any blocks does not count them: nothing is known of its room.
    if stat.blocks() > 0 && free < bytes {
        return Err(Error::Environment(format!(
            "{} has {} free, and the dataset takes {}: free some space, choose another place or a smaller dataset",
            directory.display(),
            ByteSize(free),
            ByteSize(bytes)
        )));
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The path with this behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A file that goes away unless it is renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename it is gone already; and whoever is to be told of an error is being told of the first.
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the file past the page cache, which halves the work of the memory and leaves the cache to those who
/// need it, or through the cache where the file system knows no other way.
fn create(path: &Path) -> Result<File> {
    let open =
        |flags| OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path);
    let opened = match open(libc::O_DIRECT).and_then(|file| accepts_direct_writes(&file).map(|()| file)) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open(0),
        other => other,
    };
    opened.map_err(|error| refused("create", path, error))
}

/// Some file systems refuse the first write and not the flag.
fn accepts_direct_writes(file: &File) -> io::Result<()> {
    let page = MmapMut::map_anon(PAGE_BYTES)?;
    file.write_all_at(&page, 0)
}

/// Why the pages are not all written.
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

/// Writes all pages: threads take the next chunk in turn, and this one watches.
fn write(
    database: &Database,
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

/// Until the last writer has hung up.
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

/// What the writers share.
struct Work<'work> {
    database: &'work Database,
    file: &'work File,
    next_chunk: AtomicU64,
    stop: AtomicBool,
}

impl Work<'_> {
    /// Writes chunks until there are none left, and tells how many bytes each had.
    fn run(&self, report: Sender<io::Result<u64>>) {
        let write = || -> io::Result<()> {
            // Memory of its own mapping starts at a page's boundary, as writes past the cache demand.
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
                // Nobody listens any more after a failure elsewhere: `stop` is about to be set.
                let _ = report.send(Ok(chunk.len() as u64));
            }
            Ok(())
        };
        if let Err(error) = write() {
            let _ = report.send(Err(error));
        }
    }
}
