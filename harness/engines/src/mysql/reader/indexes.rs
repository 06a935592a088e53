//! The entries of indexes, and the rows that they belong to.

use std::collections::BTreeMap;

use model::verify::integrity::IndexEntries;
use model::verify::reader::Unreadable;

use super::content::TORRENTS;
use super::rows::{Reader, optional, text};
use crate::mysql::connection::quoted;

/// The index that contains the rows themselves.
const PRIMARY: &str = "PRIMARY";

/// The columns of an index, quoted; `None` if it does not contain plain columns of all rows, or cannot be selected in a
/// query.
type Columns = Option<Vec<String>>;

/// Reads every index that contains plain columns of all rows of its table.
pub(super) fn read_indexes(reader: &mut Reader) -> Result<Vec<IndexEntries>, Unreadable> {
    let indexes = list_indexes(reader)?;
    let mut read = Vec::new();
    for ((table, index), columns) in &indexes {
        // Each entry ends with the columns of the primary key.
        let (Some(columns), Some(Some(key))) = (columns, indexes.get(&(table.clone(), PRIMARY.into())))
        else {
            continue;
        };
        if index == PRIMARY {
            continue;
        }
        let selected = columns.iter().chain(key).map(String::as_str).collect::<Vec<_>>().join(", ");
        let select =
            |index: &str| format!("SELECT {selected} FROM {} FORCE INDEX ({})", quoted(table), quoted(index));
        // The comparison of `torrents` with the dataset reads these columns anyway.
        let passed_by = table == TORRENTS && *columns == [quoted("info_hash")];
        let rows = (!passed_by).then(|| reader.digest(&select(PRIMARY), &format!("table {table}")));
        let index_name = format!("{table}.{index}");
        let entries = reader.digest(&select(index), &format!("index {index_name}"));
        read.push(IndexEntries { index: index_name, entries, out_of_order: 0, rows });
    }
    Ok(read)
}

/// All indexes by table and name.
fn list_indexes(reader: &mut Reader) -> Result<BTreeMap<(String, String), Columns>, Unreadable> {
    let sql = format!(
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART IS NULL AND {} AND INDEX_TYPE = 'BTREE'
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()
         ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        reader.flavour.usable_index
    );
    let parts = reader.rows(&sql, "the list of indexes", |row| {
        let is_plain = optional::<i64>(row, 3)? == Some(1);
        // An expression has no name.
        let column = optional::<String>(row, 2)?.filter(|_| is_plain);
        Ok(((text(row, 0)?, text(row, 1)?), column))
    })?;
    let mut indexes: BTreeMap<_, Columns> = BTreeMap::new();
    for (index, column) in parts {
        let columns = indexes.entry(index).or_insert_with(|| Some(Vec::new()));
        match (columns.as_mut(), column) {
            (Some(known), Some(column)) => known.push(quoted(&column)),
            _ => *columns = None,
        }
    }
    Ok(indexes)
}
