//! SQLite's indexes: their list, their entries and their order.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::scope;

use model::verify::digest::{RowBytes, RowsDigest};
use model::verify::integrity::IndexEntries;
use model::verify::reader::Unreadable;
use rusqlite::Connection;

use super::connection::{WhileReading, field, quoted};
use super::content::rowid_name;
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

    /// True for the index over the hashes of the torrents: their comparison with the dataset reads these columns anyway.
    fn is_passed_by(&self, torrents: &str) -> bool {
        self.table == torrents && self.plain_columns().eq(["\"info_hash\"", "rowid"])
    }

    /// Its columns, without expressions.
    fn plain_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().flatten().map(String::as_str)
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

/// Reads every index that can be compared: one thread reads the indexes, and another their tables, each table once.
/// `torrents` is the table with the hashes that another pass reads.
pub(super) fn read(
    open: &(dyn Fn() -> Result<Connection, Unreadable> + Sync),
    torrents: &str,
) -> Result<Vec<IndexEntries>, Unreadable> {
    let connection = open()?;
    let mut indexes = list(&connection).while_reading("the list of indexes")?;
    indexes.retain(Index::is_comparable);
    let mut by_table: BTreeMap<&str, Vec<&Index>> = BTreeMap::new();
    for index in indexes.iter().filter(|index| !index.is_passed_by(torrents)) {
        by_table.entry(&index.table).or_default().push(index);
    }
    let (rows, entries) = scope(|scope| {
        let rows = scope.spawn(|| {
            let connection = open()?;
            let read = by_table.iter().flat_map(|(table, indexes)| read_table(&connection, table, indexes));
            Ok(read.collect::<BTreeMap<_, _>>())
        });
        let entries: Vec<_> = indexes.iter().map(|index| read_entries(&connection, index)).collect();
        (rows.join(), entries)
    });
    let mut rows = rows.unwrap_or_else(|_| Err(Unreadable::crashed("the tables of the indexes")))?;
    let compared = indexes.iter().zip(entries).map(|(Index { name, .. }, (entries, out_of_order))| {
        IndexEntries { index: name.clone(), entries, out_of_order, rows: rows.remove(name.as_str()) }
    });
    Ok(compared.collect())
}

/// The entries that a table must have in each of these indexes, by index.
fn read_table<'index>(
    connection: &Connection,
    table: &str,
    indexes: &[&'index Index],
) -> Vec<(&'index str, Result<RowsDigest, Unreadable>)> {
    let read = |indexes: &[&'index Index]| digest_projections(connection, table, indexes);
    let named = |(index, digest): (&&'index Index, RowsDigest)| (index.name.as_str(), Ok(digest));
    match read(indexes) {
        Ok(digests) => indexes.iter().zip(digests).map(named).collect(),
        // The expression of a generated column may fail for a row: then only its own indexes cannot be compared.
        Err(_) => {
            let alone = |index: &&'index Index| {
                let digest = read(&[index]).map(|digests| digests[0]);
                (index.name.as_str(), digest.while_reading(&format!("table {table}")))
            };
            indexes.iter().map(alone).collect()
        }
    }
}

/// Reads a table once, and digests the columns of each of these indexes.
fn digest_projections(
    connection: &Connection,
    table: &str,
    indexes: &[&Index],
) -> rusqlite::Result<Vec<RowsDigest>> {
    let columns: BTreeSet<&str> = indexes.iter().flat_map(|index| index.plain_columns()).collect();
    let columns: Vec<&str> = columns.into_iter().collect();
    let place = |column| columns.binary_search(&column).expect("all columns are read");
    let places: Vec<Vec<usize>> =
        indexes.iter().map(|index| index.plain_columns().map(place).collect()).collect();
    let sql = format!("SELECT {} FROM {} NOT INDEXED", columns.join(", "), quoted(table));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut digests = vec![RowsDigest::default(); indexes.len()];
    let mut bytes = RowBytes::default();
    while let Some(row) = rows.next()? {
        for (places, digest) in places.iter().zip(&mut digests) {
            bytes.clear();
            for place in places {
                bytes.push(field(row.get_ref(*place)?));
            }
            digest.add(&bytes);
        }
    }
    Ok(digests)
}

/// The digest of the entries of an index, and how many of them follow a higher one.
fn read_entries(connection: &Connection, index: &Index) -> (Result<RowsDigest, Unreadable>, u64) {
    let columns: Vec<&str> = index.plain_columns().collect();
    let (table, name) = (quoted(&index.table), quoted(&index.name));
    let sql = format!("SELECT {} FROM {table} INDEXED BY {name}", columns.join(", "));
    let mut order = Order::new(index.order.clone().unwrap_or_default());
    let entries = digest_entries(connection, &sql, &mut order);
    (entries.while_reading(&format!("index {}", index.name)), order.violations)
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
            let value = row.get_ref(column)?;
            bytes.push(field(value));
            order.visit(column, value);
        }
        digest.add(&bytes);
    }
    Ok(digest)
}
