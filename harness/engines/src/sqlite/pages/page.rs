//! One page of a b-tree, filled cell by cell.

use super::record::{Record, varint_bytes, write_varint};

/// The page size in bytes.
pub(crate) const PAGE_BYTES: usize = 4096;

/// The kind of a b-tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeKind {
    /// Rows in the order of their ids.
    Table,
    /// Entries in the order of their keys.
    Index,
}

/// Bytes of a leaf page's header.
const LEAF_HEADER_BYTES: usize = 8;
/// Bytes of an interior page's header: a leaf page's header and the rightmost child.
const INTERIOR_HEADER_BYTES: usize = 12;
/// Bytes of a cell's entry in the list of cells, in addition to its content.
const POINTER_BYTES: usize = 2;
/// Bytes of a page number.
const CHILD_BYTES: usize = 4;

/// Maximum number of rows on a leaf page of a table, with records of `record_bytes` and ids up to `id_max`.
pub(crate) fn table_leaf_capacity(record_bytes: usize, id_max: u64) -> u64 {
    let cell = varint_bytes(record_bytes as u64) + varint_bytes(id_max) + record_bytes;
    ((PAGE_BYTES - LEAF_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64
}

/// Maximum number of children of an interior page of a table.
pub(crate) fn table_fanout(id_max: u64) -> u64 {
    let cell = CHILD_BYTES + varint_bytes(id_max);
    ((PAGE_BYTES - INTERIOR_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64 + 1
}

/// Maximum number of entries of `entry_bytes` on a leaf page of an index.
pub(crate) fn index_leaf_capacity(entry_bytes: usize) -> u64 {
    let cell = varint_bytes(entry_bytes as u64) + entry_bytes;
    ((PAGE_BYTES - LEAF_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64
}

/// Maximum number of children of an interior page of an index.
pub(crate) fn index_fanout(entry_bytes: usize) -> u64 {
    let cell = CHILD_BYTES + varint_bytes(entry_bytes as u64) + entry_bytes;
    ((PAGE_BYTES - INTERIOR_HEADER_BYTES) / (POINTER_BYTES + cell)) as u64 + 1
}

/// Fills one page: the list of cells follows the header, and the cells are at the end of the page, the last one first.
pub(crate) struct PageBuilder<'page> {
    page: &'page mut [u8],
    /// Offset of the page's header: after the file's header on page 1, 0 on all other pages.
    start: usize,
    header_bytes: usize,
    cells: usize,
    content_start: usize,
}

impl<'page> PageBuilder<'page> {
    /// A leaf page whose header starts at `start`.
    pub(crate) fn leaf(page: &'page mut [u8], start: usize, kind: TreeKind) -> PageBuilder<'page> {
        page[start] = match kind {
            TreeKind::Table => 13,
            TreeKind::Index => 10,
        };
        PageBuilder { page, start, header_bytes: LEAF_HEADER_BYTES, cells: 0, content_start: PAGE_BYTES }
    }

    /// An interior page with its rightmost child.
    pub(crate) fn interior(page: &'page mut [u8], kind: TreeKind, rightmost: u32) -> PageBuilder<'page> {
        page[0] = match kind {
            TreeKind::Table => 5,
            TreeKind::Index => 2,
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

    /// Appends a child page with ids up to `id_max`.
    pub(crate) fn push_table_child(&mut self, child: u32, id_max: u64) {
        let cell = self.cell(CHILD_BYTES + varint_bytes(id_max));
        cell[..CHILD_BYTES].copy_from_slice(&child.to_be_bytes());
        write_varint(&mut cell[CHILD_BYTES..], id_max);
    }

    /// Appends a child page with entries that are all before the entry `record`.
    pub(crate) fn push_index_child(&mut self, child: u32, record: &Record) {
        let length = record.len();
        let cell = self.cell(CHILD_BYTES + varint_bytes(length as u64) + length);
        cell[..CHILD_BYTES].copy_from_slice(&child.to_be_bytes());
        let at = CHILD_BYTES + write_varint(&mut cell[CHILD_BYTES..], length as u64);
        record.write(&mut cell[at..]);
    }

    /// Writes the number and position of the cells into the header.
    pub(crate) fn finish(self) {
        let header = &mut self.page[self.start..];
        header[3..5].copy_from_slice(&(self.cells as u16).to_be_bytes());
        header[5..7].copy_from_slice(&(self.content_start as u16).to_be_bytes());
    }

    /// Allocates the next cell.
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
