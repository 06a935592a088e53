//! The content that the workload never touches.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::database::{Unreadable, WhileReading, quoted};
use super::digest::{RowBytes, RowsDigest};
use super::findings::Findings;

/// The table whose rows the workload writes.
pub(super) const TORRENTS: &str = "torrents";
const METRICS: &str = "torrent_aggregate_metrics";
const METRIC: &str = "torrents_downloads_total";
const SEQUENCES: &str = "sqlite_sequence";
/// Litestream keeps its position in tables of the database that it replicates: they are none of the content.
const BOOKKEEPING_PREFIX: &str = "_litestream_";

/// A table, an index, a view or a trigger, as `sqlite_schema` holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaObject {
    /// `table`, `index`, `view` or `trigger`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to.
    pub table: String,
    /// The statement that made it; null for an index that a constraint made.
    pub sql: Option<String>,
}

/// What no write of the workload changes: taken once from the source, held against every restored database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentDigest {
    /// All objects of the schema, sorted.
    pub schema: Vec<SchemaObject>,
    /// By table, the rows that no write changes. Of `torrents` those with the role `Untouched`; of the
    /// aggregate metrics all, without the value that writes raise.
    pub tables: BTreeMap<String, RowsDigest>,
    /// The value of `torrents_downloads_total` before any write.
    pub metric: i64,
}

/// What the tables other than `torrents` hold.
pub(super) struct Tables {
    pub(super) schema: Vec<SchemaObject>,
    pub(super) digests: BTreeMap<String, Result<RowsDigest, Unreadable>>,
    pub(super) metric: Result<Option<i64>, Unreadable>,
    /// The sequence of `torrents`; null when there is none.
    pub(super) sequence: Result<Option<i64>, Unreadable>,
}

impl Tables {
    /// Reads the schema and every table but `torrents`.
    pub(super) fn read(connection: &Connection) -> Result<Tables, Unreadable> {
        let schema = read_schema(connection).while_reading("the schema")?;
        let tables = schema.iter().filter(|object| object.kind == "table" && object.name != TORRENTS);
        let digests = tables
            .map(|table| {
                let digest = digest_rows(connection, &untouched_rows(&table.name));
                (table.name.clone(), digest.while_reading(&format!("table {}", table.name)))
            })
            .collect();
        let metric = format!("SELECT value FROM {METRICS} WHERE metric_name = '{METRIC}'");
        let metric = read_number(connection, &metric).while_reading(METRIC);
        let sequence = if schema.iter().any(|object| object.name == SEQUENCES) {
            let sql = format!("SELECT seq FROM {SEQUENCES} WHERE name = '{TORRENTS}'");
            read_number(connection, &sql).while_reading(SEQUENCES)
        } else {
            Ok(None)
        };
        Ok(Tables { schema, digests, metric, sequence })
    }
}

fn read_number(connection: &Connection, sql: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

fn read_schema(connection: &Connection) -> rusqlite::Result<Vec<SchemaObject>> {
    let mut statement = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let objects = statement.query_map([], |row| {
        Ok(SchemaObject { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    let mut schema = objects.collect::<rusqlite::Result<Vec<_>>>()?;
    schema.retain(|object| !object.table.starts_with(BOOKKEEPING_PREFIX));
    schema.sort();
    Ok(schema)
}

/// The query for the rows of a table, and of its columns, that no write changes.
fn untouched_rows(table: &str) -> String {
    match table {
        METRICS => format!(
            "SELECT id, metric_name, CASE metric_name WHEN '{METRIC}' THEN NULL ELSE value END FROM {METRICS} NOT INDEXED"
        ),
        SEQUENCES => format!(
            "SELECT name, seq FROM {SEQUENCES} WHERE name IS NOT '{TORRENTS}' AND name NOT GLOB '{BOOKKEEPING_PREFIX}*'"
        ),
        other => format!("SELECT * FROM {} NOT INDEXED", quoted(other)),
    }
}

/// The digest of the rows that a query gives.
pub(super) fn digest_rows(connection: &Connection, sql: &str) -> rusqlite::Result<RowsDigest> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut digest = RowsDigest::default();
    let mut bytes = RowBytes::default();
    while let Some(row) = rows.next()? {
        bytes.clear();
        for column in 0..columns {
            bytes.push(row.get_ref(column)?);
        }
        digest.add(&bytes);
    }
    Ok(digest)
}

/// Check 5: holds what was read against what the source had. Says whether `torrents` differs.
pub(super) fn compare(
    expected: &ContentDigest,
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
        let found = match (table.as_str(), tables.digests.get(table)) {
            (TORRENTS, _) => torrents,
            (_, Some(Ok(digest))) => Some(*digest),
            (_, Some(Err(unreadable))) => {
                content.cannot(&unreadable.reason);
                None
            }
            // The schema lacks it: said above.
            (_, None) => None,
        };
        let Some(found) = found.filter(|found| found != expected) else {
            continue;
        };
        torrents_differ |= table == TORRENTS;
        content.wrong(|| {
            let (was, is) = (expected.rows, found.rows);
            format!("table {table}: {was} rows that no write touches were there, {is} are, and they are not the same")
        });
    }
    compare_sequence(tables, id_max, content);
    torrents_differ
}

fn compare_sequence(tables: &Tables, id_max: Option<i64>, content: &mut Findings) {
    if !tables.schema.iter().any(|object| object.name == SEQUENCES) {
        return;
    }
    match &tables.sequence {
        Ok(sequence) if *sequence < id_max => content.wrong(|| {
            let next = sequence.map_or("absent".to_owned(), |sequence| sequence.to_string());
            let id_max = id_max.unwrap_or_default();
            format!(
                "the sequence of torrents is {next}, below the highest id {id_max}: an id could come twice"
            )
        }),
        Ok(_) => {}
        Err(unreadable) => content.cannot(&unreadable.reason),
    }
}
