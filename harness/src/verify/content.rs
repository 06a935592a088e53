//! The content that the workload never touches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::RowsDigest;
use super::engine::Unreadable;
use super::findings::Findings;
use crate::dataset::TableNames;

/// The metric that the workload raises.
pub(super) const METRIC: &str = "torrents_downloads_total";

/// A table, an index, a view, a trigger or whatever else the engine's schema holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaObject {
    /// What the engine calls it: `table`, `index`, `view`, `trigger` and so on.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to.
    pub table: String,
    /// What made it: the statement, or its distinctive part; null for an index that a constraint made.
    pub sql: Option<String>,
}

/// What no write of the workload changes: taken once from the source, held against every restored database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentDigest {
    /// All objects of the schema, sorted.
    pub schema: Vec<SchemaObject>,
    /// By table, the rows that no write changes. Of the torrents those with the role `Untouched`; of the
    /// aggregate metrics all, without the value that writes raise.
    pub tables: BTreeMap<String, RowsDigest>,
    /// Of the torrents that no write changes those that were ever completed.
    pub completed: RowsDigest,
    /// The value of `torrents_downloads_total` before any write.
    pub metric: i64,
}

impl ContentDigest {
    /// The content without the torrents that were never completed.
    pub(super) fn without_never_completed(mut self, names: TableNames) -> ContentDigest {
        self.tables.insert(names.torrents.to_owned(), self.completed);
        self
    }
}

/// What the tables other than that of the torrents hold.
pub(super) struct Tables {
    pub(super) schema: Vec<SchemaObject>,
    pub(super) digests: BTreeMap<String, Result<RowsDigest, Unreadable>>,
    pub(super) metric: Result<Option<i64>, Unreadable>,
    /// The last id that the sequence of `torrents` has given out, if it has one; null when the database keeps no
    /// sequences at all.
    pub(super) sequence: Option<Result<Option<i64>, Unreadable>>,
}

/// Check 5: holds what was read against what the source had. Says whether the torrents differ.
pub(super) fn compare(
    expected: &ContentDigest,
    names: TableNames,
    tables: &Tables,
    torrents: Option<RowsDigest>,
    id_max: Option<i64>,
    content: &mut Findings,
) -> bool {
    for object in expected.schema.iter().filter(|object| !tables.schema.contains(object)) {
        content.wrong(|| format!("the schema lacks {} {} as it was made", object.kind, object.name));
    }
    for object in tables.schema.iter().filter(|object| !expected.schema.contains(object)) {
        content.wrong(|| format!("the schema has a new or changed {} {}", object.kind, object.name));
    }
    let mut torrents_differ = false;
    for (table, expected) in &expected.tables {
        let found = match tables.digests.get(table) {
            _ if table == names.torrents => torrents,
            Some(Ok(digest)) => Some(*digest),
            Some(Err(unreadable)) => {
                content.cannot(&unreadable.reason);
                None
            }
            // The schema lacks it: said above.
            None => None,
        };
        let Some(found) = found.filter(|found| found != expected) else {
            continue;
        };
        torrents_differ |= table == names.torrents;
        content.wrong(|| {
            let (was, is) = (expected.rows, found.rows);
            format!("table {table}: {was} rows that no write touches were there, {is} are, and they are not the same")
        });
    }
    compare_sequence(tables, id_max, content);
    torrents_differ
}

fn compare_sequence(tables: &Tables, id_max: Option<i64>, content: &mut Findings) {
    match &tables.sequence {
        None => {}
        Some(Ok(sequence)) if *sequence < id_max => content.wrong(|| {
            let next = sequence.map_or("absent".to_owned(), |sequence| sequence.to_string());
            let id_max = id_max.unwrap_or_default();
            format!(
                "the sequence of torrents is {next}, below the highest id {id_max}: an id could come twice"
            )
        }),
        Some(Ok(_)) => {}
        Some(Err(unreadable)) => content.cannot(&unreadable.reason),
    }
}

#[cfg(test)]
mod tests {
    use reports::record::Check;

    use super::*;

    fn judged(sequence: Option<Option<i64>>) -> (Option<Check>, Vec<String>) {
        let completed = RowsDigest::default();
        let expected = ContentDigest { schema: Vec::new(), tables: BTreeMap::new(), completed, metric: 0 };
        let sequence = sequence.map(Ok);
        let tables = Tables { schema: Vec::new(), digests: BTreeMap::new(), metric: Ok(None), sequence };
        let mut content = Findings::new("content");
        let names = TableNames::TRACKER;
        assert!(!compare(&expected, names, &tables, None, Some(71), &mut content));
        let mut lines = Vec::new();
        (content.conclude(&mut lines), lines)
    }

    #[test]
    fn a_sequence_below_the_highest_id_is_wrong() {
        for right in [None, Some(Some(71)), Some(Some(900))] {
            assert_eq!(judged(right), (Some(Check::Pass), Vec::new()));
        }
        for (wrong, said) in [(Some(70), "70"), (None, "absent")] {
            let (check, lines) = judged(Some(wrong));
            assert_eq!(check, Some(Check::Fail));
            assert!(
                lines[0].contains(&format!("the sequence of torrents is {said}, below the highest id 71"))
            );
        }
    }
}
