//! The header of a SQLite file: <https://sqlite.org/fileformat.html#the_database_header>.
//!
//! ARCHITECTURE.md has a table of its fields, and how the verifier uses each of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub(super) const HEADER_BYTES: usize = 100;
/// The first bytes of every SQLite file.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The header of a database file.
pub(super) struct Header([u8; HEADER_BYTES]);

impl Header {
    /// Reads the header of a file. Fails if the file is shorter than a header.
    pub(super) fn read(database: &Path) -> io::Result<Header> {
        let mut bytes = [0; HEADER_BYTES];
        File::open(database)?.read_exact_at(&mut bytes, 0)?;
        Ok(Header(bytes))
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.0.starts_with(MAGIC)
    }

    fn word(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.0[offset..offset + 4].try_into().expect("four bytes"))
    }

    /// The page size in bytes; `None` if the header contains an invalid size.
    pub(super) fn page_bytes(&self) -> Option<u64> {
        let page_bytes = match u64::from(u16::from_be_bytes([self.0[16], self.0[17]])) {
            1 => 65_536,
            page_bytes => page_bytes,
        };
        ((512..=65_536).contains(&page_bytes) && page_bytes.is_power_of_two()).then_some(page_bytes)
    }

    /// The number of pages of the database; `None` if the count is not valid for the last change.
    pub(super) fn pages(&self) -> Option<u64> {
        let (pages, change_counter, valid_for) = (self.word(28), self.word(24), self.word(92));
        (pages != 0 && change_counter == valid_for).then_some(u64::from(pages))
    }

    /// Fields that an application can read with a pragma and may rely on: they count as content.
    pub(super) fn content(&self) -> [(&'static str, String); 3] {
        let encoding = match self.word(56) {
            2 => "UTF-16le",
            3 => "UTF-16be",
            _ => "UTF-8",
        };
        let number = |offset| (self.word(offset) as i32).to_string();
        [("application_id", number(68)), ("encoding", encoding.into()), ("user_version", number(60))]
    }

    /// The layout of the file, which does not affect the result of any query: if a restore changes it, that is a
    /// remark.
    pub(super) fn layout(&self) -> [(&'static str, String); 5] {
        let auto_vacuum = match (self.word(52), self.word(64)) {
            (0, _) => "none",
            (_, 0) => "full",
            _ => "incremental",
        };
        [
            ("page_size", self.page_bytes().unwrap_or_default().to_string()),
            ("auto_vacuum", auto_vacuum.into()),
            ("default_cache_size", (self.word(48) as i32).to_string()),
            ("reserved bytes of a page", self.0[20].to_string()),
            ("schema format", self.word(44).to_string()),
        ]
    }
}
