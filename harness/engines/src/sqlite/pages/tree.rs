//! The layout of one b-tree. It is determined by a few counts, so each page can be written independently: no page
//! depends on another, nothing is sorted, and nothing is kept in memory.

use std::ops::Range;
use std::sync::Arc;

use model::dataset::rows::{Columns, Rows};

use super::numbering::Numbering;
use super::page::{
    PageBuilder, TreeKind, index_fanout, index_leaf_capacity, table_fanout, table_leaf_capacity,
};
use super::record::{Record, entry_bytes, row_bytes};

/// Items that are distributed evenly over groups, in order.
#[derive(Clone, Copy, Debug)]
struct Spread {
    items: u64,
    groups: u64,
}

impl Spread {
    /// The first item of a group; of the group after the last one, the number of items.
    fn start(&self, group: u64) -> u64 {
        (u128::from(group) * u128::from(self.items) / u128::from(self.groups)) as u64
    }

    fn group(&self, group: u64) -> Range<u64> {
        self.start(group)..self.start(group + 1)
    }
}

/// One b-tree: a table, or the index of a table's unique column.
pub(crate) struct Tree {
    kind: TreeKind,
    rows: Arc<dyn Rows>,
    /// Number of the first page, not counting the lock-byte page.
    first_page: u64,
    numbering: Numbering,
    /// From the leaves, which contain rows or entries, to the root; the other levels contain the pages below them.
    levels: Vec<Spread>,
}

impl Tree {
    /// The minimum number of pages for a table. The number of rows per leaf is calculated for the longest rows, so that
    /// rows on an average page have space to grow.
    pub(crate) fn table(rows: Arc<dyn Rows>, first_page: u64, numbering: Numbering) -> Tree {
        let count = rows.count();
        let leaves = count.div_ceil(table_leaf_capacity(rows.row_bytes_max(&row_bytes), count));
        let levels = levels(count, leaves, table_fanout(count));
        Tree { kind: TreeKind::Table, rows, first_page, numbering, levels }
    }

    /// The minimum number of pages for the index of a table.
    pub(crate) fn index(rows: Arc<dyn Rows>, first_page: u64, numbering: Numbering) -> Tree {
        let capacity = index_leaf_capacity(rows.entry_bytes_max(&entry_bytes));
        // A leaf, and the entry that separates it from the next one, which is on a page above.
        let leaves = (rows.count() + 1).div_ceil(capacity + 1);
        let levels = index_levels(rows.as_ref(), leaves);
        Tree { kind: TreeKind::Index, rows, first_page, numbering, levels }
    }

    /// The index with up to `spare_pages` more pages, as long as its leaves stay about half full.
    pub(crate) fn loosened(self, spare_pages: u64) -> Tree {
        let pages = self.pages() + spare_pages;
        let rows = self.rows.as_ref();
        let fewest = self.levels[0].groups;
        let (mut fitting, mut beyond) = (fewest, (fewest * 2).min(rows.count() / 2) + 1);
        while beyond > fitting + 1 {
            let leaves = fitting + (beyond - fitting) / 2;
            if page_count(&index_levels(rows, leaves)) <= pages {
                fitting = leaves;
            } else {
                beyond = leaves;
            }
        }
        Tree { levels: index_levels(rows, fitting), ..self }
    }

    /// Number of pages.
    pub(crate) fn pages(&self) -> u64 {
        page_count(&self.levels)
    }

    /// Number of the first page, not counting the lock-byte page.
    pub(crate) fn first_page(&self) -> u64 {
        self.first_page
    }

    /// Number of the root page in the file.
    pub(crate) fn root(&self) -> u32 {
        self.numbering.number(self.first_page + self.pages() - 1)
    }

    /// Writes the tree's page that is the `nth` of the file, not counting the lock-byte page, to a page of zeros.
    pub(crate) fn write_page(&self, nth: u64, page: &mut [u8], record: &mut Record) {
        let mut node = nth - self.first_page;
        let mut level = 0;
        while node >= self.levels[level].groups {
            node -= self.levels[level].groups;
            level += 1;
        }
        match (level, self.kind) {
            (0, TreeKind::Table) => self.write_table_leaf(node, page, record),
            (0, TreeKind::Index) => self.write_index_leaf(node, page, record),
            _ => self.write_interior(level, node, page, record),
        }
    }

    fn write_table_leaf(&self, leaf: u64, page: &mut [u8], record: &mut Record) {
        let mut builder = PageBuilder::leaf(page, 0, TreeKind::Table);
        for row in self.levels[0].group(leaf) {
            record.clear();
            record.push_null();
            self.rows.row(row + 1, record);
            builder.push_row(row + 1, record);
        }
        builder.finish();
    }

    fn write_index_leaf(&self, leaf: u64, page: &mut [u8], record: &mut Record) {
        let mut builder = PageBuilder::leaf(page, 0, TreeKind::Index);
        for entry in self.levels[0].group(leaf) {
            record.clear();
            // Before each leaf except the first, one entry is on a page above.
            self.rows.entry(entry + leaf, record);
            builder.push_entry(record);
        }
        builder.finish();
    }

    fn write_interior(&self, level: usize, node: u64, page: &mut [u8], record: &mut Record) {
        let children = self.levels[level].group(node);
        let below: u64 = self.levels[..level - 1].iter().map(|spread| spread.groups).sum();
        let number = |child| self.numbering.number(self.first_page + below + child);
        let last = children.end - 1;
        let mut builder = PageBuilder::interior(page, self.kind, number(last));
        for child in children.start..last {
            let leaf = self.last_leaf(level - 1, child);
            let end = self.levels[0].start(leaf + 1);
            match self.kind {
                TreeKind::Table => builder.push_table_child(number(child), end),
                TreeKind::Index => {
                    record.clear();
                    self.rows.entry(end + leaf, record);
                    builder.push_index_child(number(child), record);
                }
            }
        }
        builder.finish();
    }

    /// The last leaf under a page of a level.
    fn last_leaf(&self, level: usize, node: u64) -> u64 {
        self.levels[1..=level].iter().rev().fold(node, |node, spread| spread.start(node + 1) - 1)
    }
}

/// The levels of an index with this many leaves. The entries that separate two leaves are on pages above them.
fn index_levels(rows: &dyn Rows, leaves: u64) -> Vec<Spread> {
    levels(rows.count() + 1 - leaves, leaves, index_fanout(rows.entry_bytes_max(&entry_bytes)))
}

fn levels(items: u64, leaves: u64, fanout: u64) -> Vec<Spread> {
    let mut levels = vec![Spread { items, groups: leaves }];
    let mut pages = leaves;
    // With an even distribution, no interior page has only one child, which SQLite treats as damage.
    while pages > 1 {
        let groups = pages.div_ceil(fanout);
        levels.push(Spread { items: pages, groups });
        pages = groups;
    }
    levels
}

fn page_count(levels: &[Spread]) -> u64 {
    levels.iter().map(|spread| spread.groups).sum()
}
