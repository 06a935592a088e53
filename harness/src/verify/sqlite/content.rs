//! SQLite's schema and small tables.

use rusqlite::{Connection, OptionalExtension};

use super::{WhileReading, quoted};
use crate::dataset::TableNames;
use crate::verify::content::{METRIC, SchemaObject, Tables};
use crate::verify::digest::{RowBytes, RowsDigest};
use crate::verify::engine::Unreadable;

const SEQUENCES: &str = "sqlite_sequence";
/// Litestream keeps its position in tables of the database that it replicates: they are none of the content.
const BOOKKEEPING_PREFIX: &str = "_litestream_";

/// What makes a virtual table. It has no rows of its own: where its module keeps them in the database, that is in
/// ordinary tables, which are read; and the module need not be known here.
const VIRTUAL: &str = "CREATE VIRTUAL TABLE ";
/// What an application keeps in the header of its database.
const HEADER_NUMBERS: [&str; 2] = ["application_id", "user_version"];

/// Reads the schema and every table but that of the torrents.
pub(super) fn read_tables(connection: &Connection, names: TableNames) -> Result<Tables, Unreadable> {
    let schema = read_schema(connection).while_reading("the schema")?;
    let tables = schema.iter().filter(|object| object.kind == "table" && object.name != names.torrents);
    let has_rows = |table: &&SchemaObject| !table.sql.as_ref().is_some_and(|sql| sql.starts_with(VIRTUAL));
    let digests = tables
        .filter(has_rows)
        .map(|table| {
            let digest = digest_rows(connection, &untouched_rows(&table.name, names));
            (table.name.clone(), digest.while_reading(&format!("table {}", table.name)))
        })
        .collect();
    let metric = format!("SELECT value FROM {} WHERE metric_name = '{METRIC}'", names.metrics);
    let metric = read_number(connection, &metric).while_reading(METRIC);
    let sequence = schema.iter().any(|object| object.name == SEQUENCES).then(|| {
        let sql = format!("SELECT seq FROM {SEQUENCES} WHERE name = '{}'", names.torrents);
        read_number(connection, &sql).while_reading(SEQUENCES)
    });
    Ok(Tables { schema, digests, metric, sequence })
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
    for name in HEADER_NUMBERS {
        let number: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        schema.push(SchemaObject {
            kind: "pragma".into(),
            name: name.into(),
            table: String::new(),
            sql: Some(number.to_string()),
        });
    }
    schema.sort();
    Ok(schema)
}

/// The query for the rows of a table, and of its columns, that no write changes.
fn untouched_rows(table: &str, TableNames { torrents, metrics }: TableNames) -> String {
    match table {
        _ if table == metrics => format!(
            "SELECT id, metric_name, CASE metric_name WHEN '{METRIC}' THEN NULL ELSE value END FROM {metrics} NOT INDEXED"
        ),
        SEQUENCES => format!(
            "SELECT name, seq FROM {SEQUENCES} WHERE name IS NOT '{torrents}' AND name NOT GLOB '{BOOKKEEPING_PREFIX}*'"
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
