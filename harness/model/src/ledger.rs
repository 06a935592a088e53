//! The ledger of all writes, in mapped files, which survives the application that writes it.
//!
//! One file per writer, with 32 bytes per write: due, sent, answered (nanoseconds of [`now_ns`], 0 for never) and the
//! answer. The application maps the file as shared, so everything that it stored is in the page cache when a SIGKILL
//! ends it. The index of a write in its writer's file is its index in the [model](crate::writes).
//!
//! A store into a mapped hole of a file on a full disk ends the process with SIGBUS. So there are no holes: disk space
//! is allocated before it is mapped, and one chunk ahead, so that refused writes can still be recorded while the disk
//! is full. (btrfs and ZFS need new blocks for every change, allocated or not: there a full disk can still end the
//! application.)
//!
//! [`now_ns`]: machine::measure::clock::now_ns

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, MmapMut, MmapOptions};
use nix::fcntl::posix_fallocate;

/// Bytes of one entry.
pub const ENTRY_BYTES: u64 = 32;
/// Entries that are mapped at once for writing: 512 KiB.
const CHUNK_ENTRIES: u64 = 16_384;
const CHUNK_BYTES: u64 = CHUNK_ENTRIES * ENTRY_BYTES;
/// Initial disk space of a writer's file: two chunks.
pub const RESERVED_BYTES: u64 = 2 * CHUNK_BYTES;
/// If the next chunk could not be reserved, the next attempt is after this many entries.
const TRY_AGAIN_ENTRIES: u64 = 1024;

const ACKNOWLEDGED: u64 = 1;
const REFUSED: u64 = 2;

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Committed according to the application: answered at this time.
    Acknowledged(u64),
    /// Not committed: answered at this time.
    Refused(u64),
    /// No answer: it may or may not be committed.
    Indeterminate,
}

/// One write of one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it should have been sent.
    pub due_ns: u64,
    /// When it was sent; `None` when the application was down at that time (the outcome is refused).
    pub sent_ns: Option<u64>,
    /// Its outcome.
    pub outcome: Outcome,
}

fn path_of(directory: &Path, writer: u32) -> PathBuf {
    directory.join(format!("writer-{writer:04}.ledger"))
}

/// Appends one writer's writes.
pub struct LedgerWriter {
    file: File,
    chunk: MmapMut,
    chunk_index: u64,
    /// The last chunk for which disk space is reserved.
    reserved: u64,
    next: u64,
}

impl LedgerWriter {
    /// Opens the file of one writer in `directory`: a new one, or the one that an earlier process left.
    ///
    /// # Errors
    /// When the file cannot be created, extended or mapped.
    pub fn open(directory: &Path, writer: u32) -> io::Result<LedgerWriter> {
        let path = path_of(directory, writer);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let next = WriterLedger::open(&path)?.map_or(0, |ledger| ledger.count());
        let chunk_index = next / CHUNK_ENTRIES;
        let chunk = map_chunk(&file, chunk_index)?;
        let mut writer = LedgerWriter { file, chunk, chunk_index, reserved: chunk_index, next };
        writer.reserve_ahead();
        Ok(writer)
    }

    /// Index of the next write.
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Records a write that is about to be sent; until it is answered, it is indeterminate.
    ///
    /// # Errors
    /// When the file cannot be extended (a full disk).
    pub fn send(&mut self, due_ns: u64, sent_ns: u64) -> io::Result<()> {
        self.begin(due_ns, sent_ns, 0, 0)
    }

    /// Records a write that was due while the application was down, so that it could not be sent.
    ///
    /// # Errors
    /// When the file cannot be extended (a full disk).
    pub fn miss(&mut self, due_ns: u64, now_ns: u64) -> io::Result<()> {
        self.begin(due_ns, 0, now_ns, REFUSED)
    }

    /// The write that was sent last has been committed.
    pub fn acknowledge(&mut self, now_ns: u64) {
        self.answer(now_ns, ACKNOWLEDGED);
    }

    /// The write that was sent last has been rolled back.
    pub fn refuse(&mut self, now_ns: u64) {
        self.answer(now_ns, REFUSED);
    }

    fn begin(&mut self, due_ns: u64, sent_ns: u64, answered_ns: u64, answer: u64) -> io::Result<()> {
        let chunk_index = self.next / CHUNK_ENTRIES;
        if chunk_index != self.chunk_index {
            self.chunk = map_chunk(&self.file, chunk_index)?;
            self.chunk_index = chunk_index;
        }
        if self.next.is_multiple_of(TRY_AGAIN_ENTRIES) {
            self.reserve_ahead();
        }
        self.next += 1;
        self.store(1, sent_ns);
        self.store(2, answered_ns);
        self.store(3, answer);
        // Stored last, because an entry exists as soon as its due time is not 0.
        self.store(0, due_ns);
        Ok(())
    }

    /// Reserves the next chunk. A failure is ignored: a disk that is full now may have space again before it is needed.
    fn reserve_ahead(&mut self) {
        let ahead = self.chunk_index + 1;
        if self.reserved < ahead && reserve(&self.file, ahead).is_ok() {
            self.reserved = ahead;
        }
    }

    fn answer(&mut self, now_ns: u64, answer: u64) {
        self.store(2, now_ns);
        self.store(3, answer);
    }

    /// Stores one word of the newest entry.
    fn store(&mut self, word: u64, value: u64) {
        let offset = ((self.next - 1) % CHUNK_ENTRIES * ENTRY_BYTES + word * 8) as usize;
        let bytes: &mut [u8; 8] = (&mut self.chunk[offset..offset + 8]).try_into().expect("8 bytes");
        // SAFETY: the mapping is page-aligned and the offset a multiple of 8, so the word is aligned, and it
        // stays borrowed for the call. Atomic, because a reader maps the same file at the same time.
        let word = unsafe { AtomicU64::from_ptr(bytes.as_mut_ptr().cast()) };
        word.store(value, Ordering::Release);
    }
}

/// Allocates the disk space of a chunk. Existing content is kept.
fn reserve(file: &File, chunk_index: u64) -> io::Result<()> {
    Ok(posix_fallocate(file, (chunk_index * CHUNK_BYTES) as i64, CHUNK_BYTES as i64)?)
}

fn map_chunk(file: &File, chunk_index: u64) -> io::Result<MmapMut> {
    reserve(file, chunk_index)?;
    // SAFETY: only this process writes to the file, and it is not truncated while it is mapped.
    unsafe { MmapOptions::new().offset(chunk_index * CHUNK_BYTES).len(CHUNK_BYTES as usize).map_mut(file) }
}

/// The writes of all writers, for reading; it may be opened while the writers run.
pub struct Ledger {
    writers: Vec<WriterLedger>,
}

impl Ledger {
    /// Opens the ledger of `writers` writers. A writer that never started has no writes.
    ///
    /// # Errors
    /// When a file cannot be read or mapped.
    pub fn open(directory: &Path, writers: u32) -> io::Result<Ledger> {
        let open = |writer| Ok(WriterLedger::open(&path_of(directory, writer))?.unwrap_or_default());
        Ok(Ledger { writers: (0..writers).map(open).collect::<io::Result<_>>()? })
    }

    /// Number of writers.
    pub fn writers(&self) -> u32 {
        self.writers.len() as u32
    }

    /// The writes of one writer.
    pub fn writer(&self, writer: u32) -> &WriterLedger {
        &self.writers[writer as usize]
    }

    /// Whether a write was acknowledged after this moment, in nanoseconds of the common clock.
    pub fn has_acknowledged_after(&self, at_ns: u64) -> bool {
        // A writer makes one write after the other.
        let newest = |ledger: &WriterLedger| {
            (0..ledger.count()).rev().find_map(|index| match ledger.entry(index).outcome {
                Outcome::Acknowledged(at_ns) => Some(at_ns),
                Outcome::Refused(_) | Outcome::Indeterminate => None,
            })
        };
        self.writers.iter().filter_map(newest).any(|acknowledged_ns| acknowledged_ns > at_ns)
    }

    /// All writes, writer by writer, each with its writer and index.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u64, Entry)> {
        self.writers.iter().enumerate().flat_map(|(writer, ledger)| {
            (0..ledger.count()).map(move |index| (writer as u32, index, ledger.entry(index)))
        })
    }
}

/// The writes of one writer that had been recorded when it was opened.
#[derive(Default)]
pub struct WriterLedger {
    map: Option<Mmap>,
    count: u64,
}

impl WriterLedger {
    fn open(path: &Path) -> io::Result<Option<WriterLedger>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        // SAFETY: the file only ever grows, and its words are read atomically.
        let map = unsafe { Mmap::map(&file)? };
        let mut ledger = WriterLedger { count: map.len() as u64 / ENTRY_BYTES, map: Some(map) };
        // Entries are contiguous and the rest of the last chunk is zero.
        let (mut low, mut high) = (0, ledger.count);
        while low < high {
            let middle = (low + high) / 2;
            if ledger.word(middle, 0) == 0 {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        ledger.count = low;
        Ok(Some(ledger))
    }

    /// Number of writes.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The write with this index.
    ///
    /// # Panics
    /// When there is no such write.
    pub fn entry(&self, index: u64) -> Entry {
        assert!(index < self.count, "write {index} of {}", self.count);
        let outcome = match self.word(index, 3) {
            ACKNOWLEDGED => Outcome::Acknowledged(self.word(index, 2)),
            REFUSED => Outcome::Refused(self.word(index, 2)),
            _ => Outcome::Indeterminate,
        };
        let sent_ns = self.word(index, 1);
        Entry { due_ns: self.word(index, 0), sent_ns: (sent_ns != 0).then_some(sent_ns), outcome }
    }

    fn word(&self, index: u64, word: u64) -> u64 {
        let map = self.map.as_ref().expect("an empty ledger has no entries");
        let offset = (index * ENTRY_BYTES + word * 8) as usize;
        let bytes: &[u8; 8] = map[offset..offset + 8].try_into().expect("8 bytes");
        // SAFETY: aligned (see `LedgerWriter::store`), borrowed for the call, and only loaded from.
        let word = unsafe { AtomicU64::from_ptr(bytes.as_ptr().cast_mut().cast()) };
        word.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_contains_the_outcome_of_each_write_and_continues_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = LedgerWriter::open(directory.path(), 0).unwrap();
        writer.send(10, 11).unwrap();
        writer.acknowledge(12);
        writer.send(20, 21).unwrap();
        writer.refuse(22);
        writer.send(30, 31).unwrap();
        drop(writer);
        let mut writer = LedgerWriter::open(directory.path(), 0).unwrap();
        assert_eq!(writer.next_index(), 3);
        writer.miss(40, 45).unwrap();

        let ledger = Ledger::open(directory.path(), 2).unwrap();
        let entries: Vec<Entry> = ledger.entries().map(|(_, _, entry)| entry).collect();
        let entry = |due_ns, sent_ns, outcome| Entry { due_ns, sent_ns, outcome };
        assert_eq!(
            entries,
            [
                entry(10, Some(11), Outcome::Acknowledged(12)),
                entry(20, Some(21), Outcome::Refused(22)),
                entry(30, Some(31), Outcome::Indeterminate),
                entry(40, None, Outcome::Refused(45)),
            ]
        );
        assert_eq!(ledger.writer(1).count(), 0);
        assert!(ledger.has_acknowledged_after(11) && !ledger.has_acknowledged_after(12));
    }

    #[test]
    fn what_is_mapped_and_what_comes_next_has_its_disk_space() {
        use std::os::unix::fs::MetadataExt;

        let directory = tempfile::tempdir().unwrap();
        let allocated = || path_of(directory.path(), 0).metadata().unwrap().blocks() * 512;
        let mut writer = LedgerWriter::open(directory.path(), 0).unwrap();
        assert!(allocated() >= RESERVED_BYTES, "{}", allocated());
        for index in 0..=CHUNK_ENTRIES {
            writer.send(index + 1, index + 1).unwrap();
        }
        assert!(allocated() >= RESERVED_BYTES + CHUNK_BYTES, "{}", allocated());
    }

    #[test]
    fn a_ledger_grows_past_one_chunk() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = LedgerWriter::open(directory.path(), 3).unwrap();
        for index in 0..CHUNK_ENTRIES + 5 {
            writer.send(index + 1, index + 1).unwrap();
            writer.acknowledge(index + 2);
        }
        let ledger = Ledger::open(directory.path(), 4).unwrap();
        assert_eq!(ledger.writer(3).count(), CHUNK_ENTRIES + 5);
        assert_eq!(ledger.writer(3).entry(CHUNK_ENTRIES + 4).due_ns, CHUNK_ENTRIES + 5);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_as_entries(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..4 * ENTRY_BYTES as usize)
        ) {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(path_of(directory.path(), 0), &bytes).unwrap();
            let ledger = Ledger::open(directory.path(), 1).unwrap();
            proptest::prop_assert!(ledger.entries().count() as u64 <= bytes.len() as u64 / ENTRY_BYTES);
        }
    }
}
