//! The job of the child that copies the files.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::measure::storage;
use machine::worker::{Job, Progress};
use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, copy_file_range, fallocate, ioctl_ficlone};
use serde::{Deserialize, Serialize};

/// How bytes are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Method {
    /// Written past the page cache, where the file system allows it, so that the copy makes no dirty pages whose
    /// writeback delays the application's commits.
    #[default]
    Direct,
    /// By copy_file_range(2).
    CopyFileRange,
    /// The copy of the database file shares its blocks. The log is copied.
    Reflink,
}

/// When the header of the log is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Header {
    /// After all frames.
    #[default]
    Last,
    /// Before them, as a copy from the beginning to the end does.
    First,
}

/// How the files are copied.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Manner {
    /// Speed limit; 0: none.
    pub(super) bytes_per_second: u64,
    /// What is read and written at a time: a multiple of [`ALIGNMENT`].
    pub(super) chunk_bytes: usize,
    pub(super) method: Method,
    /// Number of chunks at the same time.
    pub(super) queue_depth: u32,
    /// Direct writes are synchronised after this many bytes; 0: only at the end.
    pub(super) sync_every_bytes: u64,
}

/// Copies a database and its log, and makes the copies durable. Answers with the bytes of both; the latter is `None` if
/// there is no log.
#[derive(Serialize, Deserialize)]
pub(super) struct CopyLiveFiles {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    /// When the header of the log is copied; `None`: the log does not belong to the database.
    pub(super) log: Option<Header>,
    pub(super) manner: Manner,
}

/// Direct I/O needs offsets, lengths and addresses in multiples of the disk's blocks, which are not larger than this.
const ALIGNMENT: usize = 4096;
/// The header of a log.
const HEADER_BYTES: u64 = 32;
/// Without direct I/O, at most this much is left in the page cache for each chunk that is written at the same time.
const DIRTY_BYTES_MAX: u64 = 16 << 20;
/// Progress is reported this often in all.
const REPORTS_MAX: u64 = 1000;

/// The path of a file that SQLite keeps beside a database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Job for CopyLiveFiles {
    const NAME: &'static str = "copy of the live files";
    type Answer = (u64, Option<u64>);

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<(u64, Option<u64>)> {
        let (source, target, manner) = (&self.source, &self.target, self.manner);
        let log = beside(source, "-wal");
        let mut meter = Meter::new(storage::bytes(source) + storage::bytes(&log), report);
        let database_bytes = match manner.method {
            Method::Direct => copy_direct(source, target, manner, &mut meter),
            Method::CopyFileRange => copy_by_kernel(source, target, manner, &mut meter),
            Method::Reflink => share(source, target),
        };
        let database_bytes = database_bytes.context("cannot copy the database")?;
        let log_bytes = match self.log {
            None => None,
            Some(header) => copy_log(&log, &beside(target, "-wal"), header, manner, &mut meter)
                .context("cannot copy the log")?,
        };
        Ok((database_bytes, log_bytes))
    }
}

/// Reports progress.
struct Meter<'a> {
    bytes: u64,
    done: u64,
    reported: u64,
    report: &'a mut dyn FnMut(Progress),
}

impl<'a> Meter<'a> {
    fn new(bytes: u64, report: &'a mut dyn FnMut(Progress)) -> Meter<'a> {
        Meter { bytes, done: 0, reported: 0, report }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done - self.reported >= self.bytes / REPORTS_MAX {
            self.reported = self.done;
            // The log may have grown.
            (self.report)(Progress::done((self.done as f64 / self.bytes as f64).min(1.0)));
        }
    }
}

/// The parts of a file, which several threads copy.
struct Parts {
    bytes: u64,
    chunk_bytes: u64,
    next: AtomicU64,
    pace: Pace,
}

impl Parts {
    fn of(file: &File, manner: Manner) -> io::Result<Parts> {
        let (bytes, chunk_bytes) = (file.metadata()?.len(), manner.chunk_bytes as u64);
        Ok(Parts { bytes, chunk_bytes, next: AtomicU64::new(0), pace: Pace::new(manner) })
    }

    /// Offset and length of the next part, when it is due.
    fn claim(&self) -> Option<(u64, usize)> {
        let offset = self.next.fetch_add(self.chunk_bytes, Ordering::Relaxed);
        let left = self.bytes.checked_sub(offset).filter(|left| *left > 0)?;
        self.pace.wait_for(offset);
        Some((offset, left.min(self.chunk_bytes) as usize))
    }

    fn give_up(&self) {
        self.next.store(self.bytes, Ordering::Relaxed);
    }
}

/// A speed limit.
struct Pace {
    began: Instant,
    bytes_per_second: u64,
}

impl Pace {
    fn new(manner: Manner) -> Pace {
        Pace { began: Instant::now(), bytes_per_second: manner.bytes_per_second }
    }

    /// Returns when the byte at this offset is due.
    fn wait_for(&self, offset: u64) {
        if self.bytes_per_second > 0 {
            let due = Duration::from_secs_f64(offset as f64 / self.bytes_per_second as f64);
            std::thread::sleep(due.saturating_sub(self.began.elapsed()));
        }
    }
}

/// Copies the file in its length at this moment. While a read transaction is held, pages that a checkpoint appends later
/// are in the log, too.
fn copy_direct(source: &Path, target: &Path, manner: Manner, meter: &mut Meter<'_>) -> io::Result<u64> {
    let parts = Parts::of(&File::open(source)?, manner)?;
    let is_direct = create(target, parts.bytes)?;
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..manner.queue_depth)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(|| {
                    let copied = copy_parts(source, target, is_direct, manner, &parts, sender);
                    copied.inspect_err(|_| parts.give_up())
                })
            })
            .collect();
        drop(sender);
        receiver.into_iter().for_each(|bytes| meter.add(bytes));
        threads.into_iter().try_for_each(|thread| thread.join().expect("copying does not panic"))
    })?;
    let target = File::options().write(true).open(target)?;
    // Direct writes are in whole blocks.
    target.set_len(parts.bytes)?;
    target.sync_all()?;
    Ok(parts.bytes)
}

/// Makes a file with room for so many bytes. True if it can be written with direct I/O.
fn create(target: &Path, bytes: u64) -> io::Result<bool> {
    let file = OpenOptions::new().write(true).create_new(true).open(target)?;
    if bytes > 0 {
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let block = MmapMut::map_anon(ALIGNMENT)?;
    let probe = open_for_writing(target, true).and_then(|file| file.write_all_at(&block, 0));
    match probe {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_for_writing(path: &Path, is_direct: bool) -> io::Result<File> {
    let flags = if is_direct { libc::O_DIRECT } else { 0 };
    OpenOptions::new().write(true).custom_flags(flags).open(path)
}

/// One of the threads that copy a file.
fn copy_parts(
    source: &Path,
    target: &Path,
    is_direct: bool,
    manner: Manner,
    parts: &Parts,
    sender: Sender<u64>,
) -> io::Result<()> {
    // Each has its own descriptors, and so its own readahead.
    let (source, target) = (File::open(source)?, open_for_writing(target, is_direct)?);
    // A mapping is aligned as direct I/O requires.
    let mut buffer = MmapMut::map_anon(parts.chunk_bytes as usize)?;
    // What is written past the page cache still waits in the cache of the disk itself.
    let unsynchronised_max = match manner.sync_every_bytes {
        _ if !is_direct => DIRTY_BYTES_MAX,
        0 => u64::MAX,
        bytes => bytes / u64::from(manner.queue_depth),
    };
    let mut unsynchronised = 0;
    while let Some((offset, bytes)) = parts.claim() {
        source.read_exact_at(&mut buffer[..bytes], offset)?;
        let written = if is_direct { bytes.next_multiple_of(ALIGNMENT) } else { bytes };
        buffer[bytes..written].fill(0);
        target.write_all_at(&buffer[..written], offset)?;
        unsynchronised += bytes as u64;
        if unsynchronised >= unsynchronised_max {
            target.sync_data()?;
            unsynchronised = 0;
        }
        // Nobody listens after an error.
        let _ = sender.send(bytes as u64);
    }
    Ok(())
}

fn copy_by_kernel(source: &Path, target: &Path, manner: Manner, meter: &mut Meter<'_>) -> io::Result<u64> {
    let source = File::open(source)?;
    let target = File::create_new(target)?;
    let parts = Parts::of(&source, manner)?;
    let mut dirty = 0;
    while let Some((offset, bytes)) = parts.claim() {
        let (mut from, mut to, end) = (offset, offset, offset + bytes as u64);
        while from < end {
            let left = (end - from) as usize;
            let copied = copy_file_range(&source, Some(&mut from), &target, Some(&mut to), left)?;
            if copied == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        dirty += bytes as u64;
        if dirty >= DIRTY_BYTES_MAX {
            target.sync_data()?;
            dirty = 0;
        }
        meter.add(bytes as u64);
    }
    target.sync_all()?;
    Ok(parts.bytes)
}

fn share(source: &Path, target: &Path) -> io::Result<u64> {
    let (source, target) = (File::open(source)?, File::create_new(target)?);
    ioctl_ficlone(&target, &source)?;
    target.sync_all()?;
    Ok(target.metadata()?.len())
}

/// Copies a log in its length at this moment: it contains every transaction that was committed until now. Returns its
/// bytes; `None` if there is none.
fn copy_log(
    source: &Path,
    target: &Path,
    header: Header,
    manner: Manner,
    meter: &mut Meter<'_>,
) -> io::Result<Option<u64>> {
    let source = match File::open(source) {
        Ok(source) => source,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let target = File::create_new(target)?;
    let end = source.metadata()?.len();
    let mut buffer = vec![0; manner.chunk_bytes];
    let pace = Pace::new(manner);
    let mut offset = if header == Header::Last { HEADER_BYTES } else { 0 };
    let mut dirty = 0;
    while offset < end {
        pace.wait_for(offset);
        let wanted = (end - offset).min(buffer.len() as u64) as usize;
        let bytes = source.read_at(&mut buffer[..wanted], offset)?;
        if bytes == 0 {
            // It was truncated: the header tells whether what was copied still counts.
            break;
        }
        target.write_all_at(&buffer[..bytes], offset)?;
        offset += bytes as u64;
        dirty += bytes as u64;
        if dirty >= DIRTY_BYTES_MAX {
            target.sync_data()?;
            dirty = 0;
        }
        meter.add(bytes as u64);
    }
    if header == Header::Last {
        copy_header(&source, &target)?;
    }
    target.sync_all()?;
    Ok(Some(target.metadata()?.len()))
}

/// Copies the header of a log as it is now. Frames from before a reset do not match it, so that SQLite ignores them. In a
/// log that was truncated there is no header, and its copy is made empty.
fn copy_header(source: &File, target: &File) -> io::Result<()> {
    let mut header = [0; HEADER_BYTES as usize];
    match source.read_exact_at(&mut header, 0) {
        Ok(()) => target.write_all_at(&header, 0),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => target.set_len(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
