//! Numbers of pages. SQLite never stores anything in the page that contains its lock byte.

use super::page::PAGE_BYTES;

/// Converts page numbers between counting without the lock-byte page and with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbering {
    /// Number of the page that never contains data.
    pub(super) lock_byte_page: u64,
}

impl Numbering {
    /// With this offset at which SQLite locks a part of the file.
    pub(super) fn with_lock_byte(lock_byte: u64) -> Numbering {
        Numbering { lock_byte_page: lock_byte / PAGE_BYTES as u64 + 1 }
    }

    /// The number in the file of the `nth` page (from 1) that is not the lock-byte page.
    pub(super) fn number(self, nth: u64) -> u32 {
        let number = if nth < self.lock_byte_page { nth } else { nth + 1 };
        u32::try_from(number).expect("the largest dataset has fewer pages than SQLite allows")
    }

    /// How many of the first `pages` pages of a file are not the lock-byte page.
    pub(super) fn used(self, pages: u64) -> u64 {
        if pages < self.lock_byte_page { pages } else { pages - 1 }
    }
}
