//! SQLite databases written page by page, without SQLite.
//!
//! Inserting rows with random keys, such as info-hashes, is about a hundred times slower than the disk, and sorting
//! them first needs space and time. Here the rows are a function of their id and of their key's rank, so every page of
//! the file is a function of its number: any thread can write any page at any time.
//!
//! To SQLite, the result looks like a database that was filled and not changed afterwards: no free pages, journal mode
//! `delete`, and ids that continue after the highest one.

mod numbering;
mod page;
mod record;
mod tree;

use std::sync::Arc;

use model::dataset::rows::{Columns, Table, Value};

use numbering::Numbering;
pub(crate) use page::PAGE_BYTES;
use page::{PageBuilder, TreeKind};
pub(crate) use record::Record;
use tree::Tree;

/// The offset at which SQLite locks a part of the file: the page there never contains data.
const LOCK_BYTE: u64 = 1 << 30;
/// Bytes of the file's header, which precedes the content of page 1.
const FILE_HEADER_BYTES: usize = 100;
/// The version of SQLite in the header: any version since the format used here would do.
const SQLITE_VERSION: u32 = 3_040_001;
/// Page of the table `sqlite_sequence`, after the schema's page.
const SEQUENCE_PAGE: u64 = 2;

/// A database with pages that can be written in any order.
pub(crate) struct DatabasePages {
    tables: Vec<Table>,
    /// Table and index of the first table, of the second, and so on, in the order of their pages.
    trees: Vec<Tree>,
    /// Number of pages, not counting the lock-byte page.
    used_pages: u64,
    numbering: Numbering,
}

impl DatabasePages {
    /// Lays out the tables in order. The index of the largest table gets the remaining space up to `target_bytes`,
    /// because the pages of an index with random keys are never full.
    pub(crate) fn new(tables: Vec<Table>, target_bytes: u64) -> DatabasePages {
        DatabasePages::with_numbering(tables, target_bytes, Numbering::with_lock_byte(LOCK_BYTE))
    }

    fn with_numbering(tables: Vec<Table>, target_bytes: u64, numbering: Numbering) -> DatabasePages {
        let (_, fewest) = DatabasePages::lay_out(&tables, 0, numbering);
        let spare = numbering.used(target_bytes / PAGE_BYTES as u64).saturating_sub(fewest);
        let (trees, used_pages) = DatabasePages::lay_out(&tables, spare, numbering);
        DatabasePages { tables, trees, used_pages, numbering }
    }

    /// The trees, and the number of their pages plus the pages before them.
    fn lay_out(tables: &[Table], spare_pages: u64, numbering: Numbering) -> (Vec<Tree>, u64) {
        let largest = (0..tables.len()).max_by_key(|place| tables[*place].rows.count());
        let mut next_page = SEQUENCE_PAGE + 1;
        let mut trees = Vec::with_capacity(tables.len() * 2);
        for (place, table) in tables.iter().enumerate() {
            let rows = || Arc::clone(&table.rows);
            let tree = Tree::table(rows(), next_page, numbering);
            next_page += tree.pages();
            trees.push(tree);
            let mut index = Tree::index(rows(), next_page, numbering);
            if Some(place) == largest {
                index = index.loosened(spare_pages);
            }
            next_page += index.pages();
            trees.push(index);
        }
        (trees, next_page - 1)
    }

    /// Number of pages of the file.
    pub(crate) fn pages(&self) -> u64 {
        u64::from(self.numbering.number(self.used_pages))
    }

    /// Length of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages() * PAGE_BYTES as u64
    }

    /// Number of rows in all tables.
    pub(crate) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows.count()).sum()
    }

    /// Writes the page with this number (from 1) of the file. `record` is scratch space.
    pub(crate) fn write_page(&self, number: u64, page: &mut [u8], record: &mut Record) {
        page.fill(0);
        if number == self.numbering.lock_byte_page {
            return;
        }
        match self.numbering.used(number) {
            1 => self.write_schema(page, record),
            SEQUENCE_PAGE => self.write_sequence(page, record),
            nth => {
                let tree = self.trees.partition_point(|tree| tree.first_page() <= nth) - 1;
                self.trees[tree].write_page(nth, page, record);
            }
        }
    }

    fn write_schema(&self, page: &mut [u8], record: &mut Record) {
        self.write_file_header(&mut page[..FILE_HEADER_BYTES]);
        let mut builder = PageBuilder::leaf(page, FILE_HEADER_BYTES, TreeKind::Table);
        for (place, entry) in self.schema().iter().enumerate() {
            record.clear();
            for value in entry {
                record.push(value);
            }
            builder.push_row(place as u64 + 1, record);
        }
        builder.finish();
    }

    /// The rows of `sqlite_schema`. SQLite adds `sqlite_sequence` while it creates the first table that needs it.
    fn schema(&self) -> Vec<[Value; 5]> {
        let text = |text: &str| Value::Text(text.into());
        let row = |kind: &str, name: &str, table: &str, root: u32, sql: Value| {
            [text(kind), text(name), text(table), Value::Integer(root.into()), sql]
        };
        let create = |name: &str, columns: &str| Value::Text(format!("CREATE TABLE {name}{columns}"));
        let mut rows = Vec::new();
        for (table, trees) in self.tables.iter().zip(self.trees.chunks_exact(2)) {
            let name = table.name;
            let index = format!("sqlite_autoindex_{name}_1");
            rows.push(row("table", name, name, trees[0].root(), create(name, table.columns_in("sqlite"))));
            rows.push(row("index", &index, name, trees[1].root(), Value::Null));
            if rows.len() == 2 {
                let name = "sqlite_sequence";
                rows.push(row("table", name, name, SEQUENCE_PAGE as u32, create(name, "(name,seq)")));
            }
        }
        rows
    }

    /// Without these rows, SQLite would reuse ids after the highest row was deleted.
    fn write_sequence(&self, page: &mut [u8], record: &mut Record) {
        let mut builder = PageBuilder::leaf(page, 0, TreeKind::Table);
        for (place, table) in self.tables.iter().enumerate() {
            record.clear();
            record.push_text(table.name.as_bytes());
            record.push_integer(table.rows.count() as i64);
            builder.push_row(place as u64 + 1, record);
        }
        builder.finish();
    }

    fn write_file_header(&self, header: &mut [u8]) {
        header[..16].copy_from_slice(b"SQLite format 3\0");
        header[16..18].copy_from_slice(&(PAGE_BYTES as u16).to_be_bytes());
        // Read and written with a rollback journal, no reserved bytes, and the three fixed payload fractions.
        header[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
        let numbers = [
            (24, 1),                                      // Change counter.
            (28, self.numbering.number(self.used_pages)), // Pages of the file, valid if 92 equals 24.
            (40, self.tables.len() as u32),               // Schema cookie.
            (44, 4),                                      // Schema format: 0 and 1 need no bytes in a record.
            (56, 1),                                      // UTF-8.
            (92, 1), // The change counter for which the number of pages is valid.
            (96, SQLITE_VERSION),
        ];
        for (place, number) in numbers {
            header[place..place + 4].copy_from_slice(&number.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
