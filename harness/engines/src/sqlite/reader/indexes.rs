//! SQLite's indexes: their list, their entries and their order.

use model::verify::digest::{RowBytes, RowsDigest};
use model::verify::integrity::IndexEntries;
use model::verify::reader::Unreadable;
use rusqlite::Connection;

use super::connection::{WhileReading, field, quoted};
use super::content::{digest_rows, rowid_name};
use super::order::{Collation, ColumnOrder, Order};

/// An index, or the key of a table WITHOUT ROWID.
pub(super) struct Index {
    pub(super) table: String,
    pub(super) name: String,
    /// True for the key of a table WITHOUT ROWID, which is the table itself.
    is_table: bool,
    is_partial: bool,
    /// Names of its columns; `None` for an expression.
    columns: Vec<Option<String>>,
    /// The order of each column; `None` if a collation is not available here, or with UTF-16, which is ordered by other
    /// bytes than those that are read.
    order: Option<Vec<ColumnOrder>>,
    /// A collation of its order that is not available here.
    pub(super) unknown_collation: Option<String>,
}

impl Index {
    /// True when its entries can be read separately and compared with the same columns of its table.
    pub(super) fn is_comparable(&self) -> bool {
        !self.is_table && !self.is_partial && self.columns.iter().all(Option::is_some)
    }

    /// True when only the engine can check that its entries are complete and in the right order.
    pub(super) fn needs_the_engine(&self) -> bool {
        !self.is_comparable() || self.order.is_none()
    }

    /// What cannot be checked without its collation.
    pub(super) fn unordered(&self) -> Option<String> {
        let collation = self.unknown_collation.as_ref()?;
        let Index { table, name, .. } = self;
        Some(match (self.is_table, self.is_comparable()) {
            (true, _) => format!(
                "table {table}: the collation {collation} is not known here, so the order of its rows is not checked"
            ),
            (_, true) => format!(
                "index {name}: the collation {collation} is not known here, so its entries are compared, and their order \
                 is not checked"
            ),
            _ => format!(
                "index {name}: the collation {collation} is not known here, so neither its entries nor their order are \
                 checked"
            ),
        })
    }
}

/// All indexes of the database.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<Index>> {
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    let is_utf8 = encoding == "UTF-8";
    let mut statement = connection.prepare(
        "SELECT t.name, i.name, t.wr AND i.origin = 'pk', i.partial
         FROM pragma_table_list AS t, pragma_index_list(t.name) AS i
         WHERE t.schema = 'main' AND t.type IN ('table', 'shadow')",
    )?;
    let indexes = statement.query_map([], |row| {
        Ok(Index {
            table: row.get(0)?,
            name: row.get(1)?,
            is_table: row.get(2)?,
            is_partial: row.get(3)?,
            columns: Vec::new(),
            order: is_utf8.then(Vec::new),
            unknown_collation: None,
        })
    })?;
    let mut indexes = indexes.collect::<rusqlite::Result<Vec<_>>>()?;
    for index in &mut indexes {
        read_columns(connection, index)?;
    }
    Ok(indexes)
}

fn read_columns(connection: &Connection, index: &mut Index) -> rusqlite::Result<()> {
    let rowid = rowid_name(connection, &index.table)?;
    let mut statement =
        connection.prepare("SELECT cid, name, coll, desc FROM pragma_index_xinfo(?1) ORDER BY seqno")?;
    let mut rows = statement.query([&index.name])?;
    while let Some(row) = rows.next()? {
        let (cid, name): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
        // Column -1 is the rowid, which a query cannot name if columns have all of its names.
        match (cid, rowid) {
            (-1, Some(rowid)) => index.columns.push(Some(rowid.to_owned())),
            (-1, None) => continue,
            _ => index.columns.push(name.map(|name| quoted(&name))),
        }
        let collation: String = row.get(2)?;
        match Collation::named(&collation) {
            Some(collation) => {
                let order = ColumnOrder { collation, is_descending: row.get(3)? };
                index.order.iter_mut().for_each(|orders| orders.push(order));
            }
            None => (index.order, index.unknown_collation) = (None, Some(collation)),
        }
    }
    Ok(())
}

/// Reads every index that can be compared. `torrents` is the table with the hashes that another pass reads.
pub(super) fn read(connection: &Connection, torrents: &str) -> Result<Vec<IndexEntries>, Unreadable> {
    let indexes = list(connection).while_reading("the list of indexes")?;
    let read = |Index { table, name, columns, order, .. }: Index| {
        let columns: Vec<String> = columns.into_iter().flatten().collect();
        let select = |how: &str| format!("SELECT {} FROM {} {how}", columns.join(", "), quoted(&table));
        // The comparison of the torrents with the dataset reads these columns anyway.
        let passed_by = table == torrents && columns == [quoted("info_hash"), "rowid".to_owned()];
        let rows = (!passed_by).then(|| {
            let digest = digest_rows(connection, &select("NOT INDEXED"));
            digest.while_reading(&format!("table {table}"))
        });
        let mut order = Order::new(order.unwrap_or_default());
        let entries =
            digest_entries(connection, &select(&format!("INDEXED BY {}", quoted(&name))), &mut order);
        let entries = entries.while_reading(&format!("index {name}"));
        IndexEntries { entries, out_of_order: order.violations, index: name, rows }
    };
    Ok(indexes.into_iter().filter(Index::is_comparable).map(read).collect())
}

/// The digest of the entries of a query, which returns them in the order of the index.
fn digest_entries(connection: &Connection, sql: &str, order: &mut Order) -> rusqlite::Result<RowsDigest> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut digest = RowsDigest::default();
    let mut bytes = RowBytes::default();
    while let Some(row) = rows.next()? {
        bytes.clear();
        for column in 0..columns {
            bytes.push(field(row.get_ref(column)?));
        }
        digest.add(&bytes);
        order.visit(|column| row.get_ref(column))?;
    }
    Ok(digest)
}
