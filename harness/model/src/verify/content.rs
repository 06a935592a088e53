//! The content that the workload never changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::digest::RowsDigest;
use super::unreadable::Unreadable;
use crate::dataset::TableNames;

/// The metric that the workload increments.
pub const METRIC: &str = "torrents_downloads_total";
/// The kind of a schema object that is a setting of the whole database, with its value in place of a statement.
pub const SETTING: &str = "setting";
/// A table, an index, a view, a trigger or another object of the engine's schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaObject {
    /// The engine's name for its kind: `table`, `index`, `view`, `trigger` and so on.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to.
    pub table: String,
    /// The statement that created it, or the distinctive part of the statement; null for an index of a constraint.
    pub sql: Option<String>,
}

/// The content that no write of the workload changes: computed once from the source, and compared with every restored
/// database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentDigest {
    /// All objects of the schema, sorted.
    pub schema: Vec<SchemaObject>,
    /// The rows that no write changes, by table. Of the torrents, those with the role `Untouched`; of the aggregate
    /// metrics, all rows without the value that writes increment.
    pub tables: BTreeMap<String, RowsDigest>,
    /// The same rows with their numbers, by table, if rows have numbers that are not in a column: SQLite's implicit
    /// rowids.
    #[serde(default)]
    pub rowids: BTreeMap<String, RowsDigest>,
    /// Properties of the file's layout, by name. They do not affect the result of any query.
    #[serde(default)]
    pub layout: BTreeMap<String, String>,
    /// Those of the torrents that no write changes that were completed at least once.
    pub completed: RowsDigest,
    /// The value of `torrents_downloads_total` before any write.
    pub metric: i64,
    /// The last id that the sequence of the torrents had assigned before any write; null when there is none.
    #[serde(default)]
    pub sequence: Option<i64>,
    /// Irregularities before any write.
    #[serde(default)]
    pub condition: Condition,
}

impl ContentDigest {
    /// The content without the torrents that were never completed.
    pub fn without_never_completed(mut self, names: TableNames) -> ContentDigest {
        self.tables.insert(names.torrents.to_owned(), self.completed);
        self
    }

    /// Irregularities before any write, and what cannot be checked, one line each: a restored database must have the
    /// same.
    pub fn remarks(&self) -> Vec<String> {
        self.condition.remarks().collect()
    }
}

/// The content of all tables except that of the torrents.
pub struct Tables {
    /// All objects of the schema.
    pub schema: Vec<SchemaObject>,
    /// By table, its rows.
    pub digests: BTreeMap<String, Result<RowsDigest, Unreadable>>,
    /// By table, its rows with their implicit numbers, where it has any.
    pub rowids: BTreeMap<String, RowsDigest>,
    /// How the engine lays its file out: see [`ContentDigest::layout`].
    pub layout: BTreeMap<String, String>,
    /// The value of the metric that the workload raises; null when there is none.
    pub metric: Result<Option<i64>, Unreadable>,
    /// The last id that the sequence of the torrents has assigned, if it has one; null when the database has no
    /// sequences at all.
    pub sequence: Option<Result<Option<i64>, Unreadable>>,
    /// Parts of the tables that could not be read, and why.
    pub unchecked: Vec<String>,
}
