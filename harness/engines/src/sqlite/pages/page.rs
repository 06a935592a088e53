//! One page of a b-tree, filled cell by cell.

use super::PAGE_BYTES;
use super::record::{Record, varint_bytes, write_varint};

/// What a b-tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rows in the order of their ids.
    Table,
    /// Entries in the order of their keys.
    Index,
}

/// Bytes of a leaf page's header.
const LEAF_HEADER_BYTES: usize = 8;
/// Bytes of an interior page's header: the same, and the rightmost child.
const INTERIOR_HEADER_BYTES: usize = 12;
/// Bytes that each cell takes besides its content: its place in the list of cells.
const POINTER_BYTES: usize = 2;
/// Bytes of a page number.
const CHILD_BYTES: usize = 4;

/// Rows of records of `record_bytes` with ids up to `id_max` that a leaf page of a table holds.
pub(crate) fn table_leaf_capacity(record_bytes: usize, id_max: u64) -> u64 {
    let cell = varint_bytes(record_bytes as u64) + varint_bytes(id_max) + record_bytes;
    ((PAGE_BYTES - LEAF_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64
}

/// Children that an interior page of a table holds.
pub(crate) fn table_fanout(id_max: u64) -> u64 {
    let cell = CHILD_BYTES + varint_bytes(id_max);
    ((PAGE_BYTES - INTERIOR_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64 + 1
}

/// Entries of `entry_bytes` that a leaf page of an index holds.
pub(crate) fn index_leaf_capacity(entry_bytes: usize) -> u64 {
    let cell = varint_bytes(entry_bytes as u64) + entry_bytes;
    ((PAGE_BYTES - LEAF_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64
}

/// Children that an interior page of an index holds.
pub(crate) fn index_fanout(entry_bytes: usize) -> u64 {
    let cell = CHILD_BYTES + varint_bytes(entry_bytes as u64) + entry_bytes;
    ((PAGE_BYTES - INTERIOR_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64 + 1
}

/// Fills one page: cells are listed after the header and lie at the end of the page, the last one lowest.
pub(crate) struct PageBuilder<'page> {
    page: &'page mut [u8],
    /// Where the page's header starts: after the file's header in page 1, at 0 in all others.
    start: usize,
    header_bytes: usize,
    cells: usize,
    content_start: usize,
}

impl<'page> PageBuilder<'page> {
    /// A leaf page whose header starts at `start`.
    pub(crate) fn leaf(page: &'page mut [u8], start: usize, kind: Kind) -> PageBuilder<'page> {
        page[start] = match kind {
            Kind::Table => 13,
            Kind::Index => 10,
        };
        PageBuilder { page, start, header_bytes: LEAF_HEADER_BYTES, cells: 0, content_start: PAGE_BYTES }
    }

    /// An interior page with its rightmost child.
    pub(crate) fn interior(page: &'page mut [u8], kind: Kind, rightmost: u32) -> PageBuilder<'page> {
        page[0] = match kind {
            Kind::Table => 5,
            Kind::Index => 2,
        };
        page[LEAF_HEADER_BYTES..INTERIOR_HEADER_BYTES].copy_from_slice(&rightmost.to_be_bytes());
        let header_bytes = INTERIOR_HEADER_BYTES;
        PageBuilder { page, start: 0, header_bytes, cells: 0, content_start: PAGE_BYTES }
    }

    /// Appends a row.
    pub(crate) fn push_row(&mut self, id: u64, record: &Record) {
        let length = record.len();
        let cell = self.cell(varint_bytes(length as u64) + varint_bytes(id) + length);
        let at = write_varint(cell, length as u64);
        let at = at + write_varint(&mut cell[at..], id);
        record.write(&mut cell[at..]);
    }

    /// Appends an index entry.
    pub(crate) fn push_entry(&mut self, record: &Record) {
        let length = record.len();
        let cell = self.cell(varint_bytes(length as u64) + length);
        let at = write_varint(cell, length as u64);
        record.write(&mut cell[at..]);
    }

    /// Appends a child page that holds ids up to `id_max`.
    pub(crate) fn push_table_child(&mut self, child: u32, id_max: u64) {
        let cell = self.cell(CHILD_BYTES + varint_bytes(id_max));
        cell[..CHILD_BYTES].copy_from_slice(&child.to_be_bytes());
        write_varint(&mut cell[CHILD_BYTES..], id_max);
    }

    /// Appends a child page whose entries all lie before the entry `record`.
    pub(crate) fn push_index_child(&mut self, child: u32, record: &Record) {
        let length = record.len();
        let cell = self.cell(CHILD_BYTES + varint_bytes(length as u64) + length);
        cell[..CHILD_BYTES].copy_from_slice(&child.to_be_bytes());
        let at = CHILD_BYTES + write_varint(&mut cell[CHILD_BYTES..], length as u64);
        record.write(&mut cell[at..]);
    }

    /// Writes what the header says of the cells.
    pub(crate) fn finish(self) {
        let header = &mut self.page[self.start..];
        header[3..5].copy_from_slice(&(self.cells as u16).to_be_bytes());
        header[5..7].copy_from_slice(&(self.content_start as u16).to_be_bytes());
    }

    /// Room for the next cell.
    fn cell(&mut self, bytes: usize) -> &mut [u8] {
        let pointer = self.start + self.header_bytes + POINTER_BYTES * self.cells;
        let end = self.content_start;
        self.content_start = end - bytes;
        assert!(pointer + POINTER_BYTES <= self.content_start, "a page is too small for its cells");
        let place = (self.content_start as u16).to_be_bytes();
        self.page[pointer..pointer + POINTER_BYTES].copy_from_slice(&place);
        self.cells += 1;
        &mut self.page[self.content_start..end]
    }
}
