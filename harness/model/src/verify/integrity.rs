//! Check 1: the engine's own check, and whether the indexes match their tables.

use super::condition::Condition;
use super::content::Tables;
use super::digest::RowsDigest;
use super::unreadable::Unreadable;

/// The entries of an index, and the entries that it should have according to its table.
pub struct IndexEntries {
    /// Its name.
    pub index: String,
    /// Entries of the index.
    pub entries: Result<RowsDigest, Unreadable>,
    /// Number of entries that follow a higher one; 0 if the order was not checked.
    pub out_of_order: u64,
    /// The same columns of the table; `None` when another pass over the table reads them.
    pub rows: Option<Result<RowsDigest, Unreadable>>,
}

/// Compares the indexes with their tables. `torrents` is the digest that an index over the hashes of `torrents` must
/// have.
pub fn judge_indexes(indexes: &[IndexEntries], torrents: Option<RowsDigest>, condition: &mut Condition) {
    for IndexEntries { index, entries, out_of_order, rows } in indexes {
        if *out_of_order > 0 {
            condition.wrong(format!("index {index}: {out_of_order} of its entries are out of order"));
        }
        let rows = match rows {
            Some(Ok(rows)) => Some(*rows),
            Some(Err(unreadable)) => {
                condition.unreadable(unreadable);
                None
            }
            None => torrents,
        };
        match (entries, rows) {
            (Err(unreadable), _) => condition.unreadable(unreadable),
            (Ok(entries), Some(rows)) if *entries != rows => condition.wrong({
                let (held, due) = (entries.rows, rows.rows);
                format!(
                    "index {index} holds {held} entries and its table {due} rows, and they are not the same"
                )
            }),
            (Ok(_), Some(_)) => {}
            (Ok(_), None) => condition.unchecked(format!("index {index}: its table could not be read")),
        }
    }
}

/// The irregularities of a database, apart from its content. `torrents` is the digest that an index over their hashes
/// must have.
pub fn examine(
    check: &Result<Condition, Unreadable>,
    indexes: &Result<Vec<IndexEntries>, Unreadable>,
    tables: &Result<Tables, Unreadable>,
    torrents: Option<RowsDigest>,
) -> Condition {
    let mut condition = Condition::default();
    match check {
        Ok(checked) => condition.absorb(checked.clone()),
        Err(unreadable) => condition.unreadable(unreadable),
    }
    match indexes {
        Ok(indexes) => judge_indexes(indexes, torrents, &mut condition),
        Err(unreadable) => condition.unreadable(unreadable),
    }
    if let Ok(tables) = tables {
        tables.unchecked.iter().for_each(|line| condition.unchecked(line));
        tables
            .digests
            .values()
            .filter_map(|rows| rows.as_ref().err())
            .for_each(|unreadable| condition.unreadable(unreadable));
    }
    condition
}
