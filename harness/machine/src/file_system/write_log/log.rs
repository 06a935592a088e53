//! The log of a device, in the format of the kernel's dm-log-writes, which QEMU's driver `blklogwrites` also writes.
//!
//! One sector with the header, then entries. An entry is one sector that describes a request, followed by the data of a
//! write. All numbers are little-endian. The log is read as foreign data: an invalid one is an error, never a panic,
//! and a description occupies memory only when its sector exists.

use std::io::{self, Read, Seek, SeekFrom};

/// Size of the smallest sector, in bytes.
const SECTOR_BYTES_MIN: u64 = 512;
/// Size of the largest sector, in bytes.
const SECTOR_BYTES_MAX: u64 = 64 << 10;
/// The number at the beginning of every log.
pub(super) const MAGIC: u64 = 0x006a_7366_7773_6872;
pub(super) const VERSION: u64 = 1;

pub(super) const FLUSH: u64 = 1;
pub(super) const FUA: u64 = 1 << 1;
pub(super) const DISCARD: u64 = 1 << 2;
pub(super) const MARK: u64 = 1 << 3;
/// Set for metadata of a file system, which is written like any other data.
const METADATA: u64 = 1 << 4;
const KNOWN: u64 = FLUSH | FUA | DISCARD | MARK | METADATA;

/// A moment in a log: its length in bytes at that moment. Requests that were complete are before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub(super) u64);

impl std::fmt::Display for LogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "byte {} of the write log", self.0)
    }
}

/// A request to the device, as the log describes it. Lengths and offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    flags: u64,
    /// Where on the device it writes or discards.
    pub(super) offset: u64,
    /// How many bytes of the device it writes or discards.
    pub(super) length: u64,
    /// Where its description begins in the log.
    pub(super) start: u64,
    /// Where its data begins in the log, if it is a write.
    pub(super) data: u64,
    /// Where it ends in the log.
    pub(super) end: u64,
}

impl Entry {
    /// True if everything that was written before is durable once this is complete.
    pub fn is_flush(&self) -> bool {
        self.flags & FLUSH != 0
    }

    /// True if what it writes is durable once this is complete ("force unit access").
    pub fn is_durable(&self) -> bool {
        self.flags & FUA != 0
    }

    /// True if it frees space of the device instead of writing.
    pub fn is_discard(&self) -> bool {
        self.flags & DISCARD != 0
    }

    /// Number of bytes of the device that it writes or discards.
    pub fn length_bytes(&self) -> u64 {
        self.length
    }
}

/// Reads all descriptions of a log over a device of `device_bytes` bytes.
///
/// # Errors
/// Why it is not a complete, valid log of this device.
pub(super) fn parse(log: &mut (impl Read + Seek), device_bytes: u64) -> io::Result<Vec<Entry>> {
    let log_bytes = log.seek(SeekFrom::End(0))?;
    let [magic, version, count, sector_bytes] = numbers(log, 0)?;
    // The size of a sector is a number of 32 bits, with other fields after it.
    let sector_bytes = sector_bytes & u64::from(u32::MAX);
    if (magic, version) != (MAGIC, VERSION) {
        return Err(invalid(format!("magic number {magic:#x}, version {version}")));
    }
    let is_size = (SECTOR_BYTES_MIN..=SECTOR_BYTES_MAX).contains(&sector_bytes);
    if !is_size || !sector_bytes.is_power_of_two() {
        return Err(invalid(format!("sectors of {sector_bytes} bytes")));
    }
    let mut entries = Vec::new();
    let mut start = sector_bytes;
    for number in 0..count {
        let fields = numbers(log, start)?;
        let entry = entry(fields, start, sector_bytes)
            .filter(|entry| entry.end <= log_bytes && entry.offset + entry.length <= device_bytes)
            .ok_or_else(|| invalid(format!("entry {number} of {count}, at byte {start}: {fields:?}")))?;
        start = entry.end;
        entries.push(entry);
    }
    Ok(entries)
}

/// A description from its fields: first sector, number of sectors, flags, and the length of a mark. `None` if it is
/// invalid.
fn entry([sector, sectors, flags, _]: [u64; 4], start: u64, sector_bytes: u64) -> Option<Entry> {
    let offset = sector.checked_mul(sector_bytes)?;
    let length = sectors.checked_mul(sector_bytes)?;
    offset.checked_add(length)?;
    // The text of a mark is in the sector of its description, and a discard has no data.
    let data_bytes = if flags & (DISCARD | MARK) == 0 { length } else { 0 };
    let data = start.checked_add(sector_bytes)?;
    let end = data.checked_add(data_bytes)?;
    let length = if flags & MARK == 0 { length } else { 0 };
    (flags & !KNOWN == 0).then_some(Entry { flags, offset, length, start, data, end })
}

/// Four numbers at an offset.
fn numbers(log: &mut (impl Read + Seek), offset: u64) -> io::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    log.seek(SeekFrom::Start(offset))?;
    log.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid(format!("it ends within 32 bytes of byte {offset}")),
        _ => error,
    })?;
    let number =
        |place: usize| u64::from_le_bytes(bytes[place * 8..][..8].try_into().expect("these are eight bytes"));
    Ok([0, 1, 2, 3].map(number))
}

fn invalid(what: String) -> io::Error {
    io::Error::other(format!("not a write log of this device: {what}"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const DEVICE_BYTES: u64 = 1 << 20;

    /// A log with these entries: first sector, number of sectors, flags.
    pub(in super::super) fn log(entries: &[(u64, u64, u64)]) -> Vec<u8> {
        let sector = |fields: [u64; 4]| {
            let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            bytes.resize(512, 0);
            bytes
        };
        let mut log = sector([MAGIC, VERSION, entries.len() as u64, 512]);
        for (first, count, flags) in entries {
            log.extend(sector([*first, *count, *flags, 0]));
            if flags & (DISCARD | MARK) == 0 {
                log.extend(std::iter::repeat_n(7, *count as usize * 512));
            }
        }
        log
    }

    #[test]
    fn each_kind_of_entry_is_read() {
        let log =
            log(&[(8, 2, 0), (0, 0, FLUSH), (16, 1, FUA), (24, 100, DISCARD), (0, 0, MARK), (2, 1, 16)]);
        let entries = parse(&mut Cursor::new(&log), DEVICE_BYTES).unwrap();
        let told: Vec<_> = entries.iter().map(|entry| (entry.offset, entry.length, entry.start)).collect();
        let starts = [(4096, 1024, 512), (0, 0, 2048), (8192, 512, 2560), (12288, 51200, 3584)];
        assert_eq!(told[..4], starts);
        assert_eq!((entries[4].length, entries[4].end, entries[5].data), (0, 4608, 5120));
        assert!(entries[1].is_flush() && entries[2].is_durable() && entries[3].is_discard());
        assert_eq!(entries[5].end, log.len() as u64);
    }

    #[test]
    fn an_invalid_log_is_an_error_that_names_the_place() {
        let refused = |log: &[u8], bytes| parse(&mut Cursor::new(log), bytes).unwrap_err().to_string();
        let good = log(&[(8, 2, 0), (0, 0, FLUSH)]);
        let with = |place: usize, byte: u8| {
            let mut log = good.clone();
            log[place] = byte;
            refused(&log, DEVICE_BYTES)
        };
        let refusals = [
            refused(b"", DEVICE_BYTES),
            refused(&good[..good.len() - 1], DEVICE_BYTES),
            refused(&good, 4096),
            with(0, 0),
            with(8, 2),
            with(16, 3),
            with(25, 3),
            with(512 + 16, 32),
            with(512 + 7, 255),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @"
        not a write log of this device: it ends within 32 bytes of byte 0
        not a write log of this device: entry 1 of 2, at byte 2048: [0, 0, 1, 0]
        not a write log of this device: entry 0 of 2, at byte 512: [8, 2, 0, 0]
        not a write log of this device: magic number 0x6a736677736800, version 1
        not a write log of this device: magic number 0x6a736677736872, version 2
        not a write log of this device: it ends within 32 bytes of byte 2560
        not a write log of this device: sectors of 768 bytes
        not a write log of this device: entry 0 of 2, at byte 512: [8, 2, 32, 0]
        not a write log of this device: entry 0 of 2, at byte 512: [18374686479671623688, 2, 0, 0]
        ");
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = parse(&mut Cursor::new(&bytes), DEVICE_BYTES);
        }

        #[test]
        fn changed_bytes_are_no_panic_and_never_reach_beyond_log_or_device(
            entries in proptest::collection::vec((0..4000u64, 0..8u64, 0..32u64), 0..8),
            changes in proptest::collection::vec((0..4096usize, any::<u8>()), 0..8),
            cut in 0..8192usize,
        ) {
            let mut log = log(&entries);
            for (place, byte) in changes {
                if let Some(target) = log.get_mut(place) {
                    *target = byte;
                }
            }
            log.truncate(log.len().saturating_sub(cut.saturating_sub(4096)));
            if let Ok(entries) = parse(&mut Cursor::new(&log), DEVICE_BYTES) {
                prop_assert!(entries.len() <= log.len() / 512);
                for entry in entries {
                    prop_assert!(entry.end <= log.len() as u64);
                    prop_assert!(entry.offset + entry.length <= DEVICE_BYTES);
                }
            }
        }

        #[test]
        fn a_written_log_is_read_as_it_was_written(
            entries in proptest::collection::vec((0..1000u64, 0..8u64, 0..8u64), 0..20),
        ) {
            let read = parse(&mut Cursor::new(log(&entries)), DEVICE_BYTES).unwrap();
            let read: Vec<_> =
                read.iter().map(|entry| (entry.offset / 512, entry.length / 512, entry.flags)).collect();
            prop_assert_eq!(read, entries);
        }
    }
}
