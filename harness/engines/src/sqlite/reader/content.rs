//! SQLite's schema and small tables.

use std::collections::BTreeMap;
use std::path::Path;

use model::dataset::{SCRATCH_TABLE, TableNames};
use model::verify::content::{METRIC, SETTING, SchemaObject, Tables};
use model::verify::digest::{RowBytes, RowsDigest};
use model::verify::reader::Unreadable;
use rusqlite::{Connection, OptionalExtension};

use super::connection::{WhileReading, field, is_malformed, quoted, reason_of};
use super::header::Header;
use super::virtual_tables::VIRTUAL;

const SEQUENCES: &str = "sqlite_sequence";
/// SQLite's internal tables: nothing refers to their rows by rowid.
const INTERNAL_PREFIX: &str = "sqlite_";
/// Litestream stores its position in tables of the database that it replicates: they do not count as content.
const BOOKKEEPING_PREFIX: &str = "_litestream_";
/// Names of the rowid, unless a column has the same name.
const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Reads the schema and every table except that of the torrents.
pub(super) fn read_tables(
    database: &Path,
    connection: &Connection,
    names: TableNames,
) -> Result<Tables, Unreadable> {
    let header = Header::read(database)
        .map_err(|error| Unreadable { reason: format!("the header: {error}"), malformed: false })?;
    let schema = read_schema(connection, &header).while_reading("the schema")?;
    let (mut digests, mut rowids, mut unchecked) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for object in schema.iter().filter(|object| object.kind == "table" && object.name != names.torrents) {
        // A virtual table has no rows itself: if its module stores them in the database, they are in ordinary tables,
        // which are read. So the module need not be available here.
        if object.sql.as_ref().is_some_and(|sql| sql.starts_with(VIRTUAL)) {
            continue;
        }
        let name = &object.name;
        let rows = read_rows(connection, name, names, &mut unchecked);
        let rows = rows.while_reading(&format!("table {name}")).map(|(rows, with_rowids)| {
            rowids.extend(with_rowids.map(|digest| (name.clone(), digest)));
            rows
        });
        digests.insert(name.clone(), rows);
    }
    let metric = format!("SELECT value FROM {} WHERE metric_name = '{METRIC}'", names.metrics);
    let metric = read_number(connection, &metric).while_reading(METRIC);
    let sequence = schema.iter().any(|object| object.name == SEQUENCES).then(|| {
        let sql = format!("SELECT seq FROM {SEQUENCES} WHERE name = '{}'", names.torrents);
        read_number(connection, &sql).while_reading(SEQUENCES)
    });
    let layout = header.layout().map(|(what, is)| (what.into(), is)).into();
    Ok(Tables { schema, digests, rowids, layout, metric, sequence, unchecked })
}

fn read_number(connection: &Connection, sql: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

fn read_schema(connection: &Connection, header: &Header) -> rusqlite::Result<Vec<SchemaObject>> {
    let mut statement = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let objects = statement.query_map([], |row| {
        Ok(SchemaObject { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    let mut schema = objects.collect::<rusqlite::Result<Vec<_>>>()?;
    schema.retain(|object| !object.table.starts_with(BOOKKEEPING_PREFIX) && object.table != SCRATCH_TABLE);
    let setting = |(name, value): (&str, String)| SchemaObject {
        kind: SETTING.into(),
        name: name.into(),
        table: String::new(),
        sql: Some(value),
    };
    schema.extend(header.content().map(setting));
    schema.sort();
    Ok(schema)
}

/// The columns of a table.
struct Columns {
    /// Those that are stored, quoted.
    stored: Vec<String>,
    /// Those that are computed when they are read, quoted.
    computed: Vec<String>,
    /// The name of the rowid, if it is not in a column and something can refer to it.
    rowid: Option<&'static str>,
}

impl Columns {
    fn of(connection: &Connection, table: &str) -> rusqlite::Result<Columns> {
        let mut statement = connection.prepare("SELECT name, hidden, pk FROM pragma_table_xinfo(?1)")?;
        let (mut stored, mut computed, mut key_columns) = (Vec::new(), Vec::new(), 0);
        let mut rows = statement.query([table])?;
        while let Some(row) = rows.next()? {
            let (name, hidden, key): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            key_columns += i64::from(key > 0);
            // 2 means a generated column that is not stored.
            if hidden == 2 { &mut computed } else { &mut stored }.push(quoted(&name));
        }
        // A key without a separate index is the rowid itself, or the table has no rowids. The tables of a virtual table
        // are covered by its own check.
        let has_implicit: bool = connection.query_row(
            "SELECT t.type = 'table' AND NOT t.wr AND (?2 = 0 OR EXISTS (
                 SELECT 1 FROM pragma_index_list(?1) AS i WHERE i.origin = 'pk'))
             FROM pragma_table_list(?1) AS t WHERE t.schema = 'main'",
            (table, key_columns),
            |row| row.get(0),
        )?;
        let rowid = if has_implicit && !table.starts_with(INTERNAL_PREFIX) {
            rowid_name(connection, table)?
        } else {
            None
        };
        Ok(Columns { stored, computed, rowid })
    }
}

/// A name of the rowid that is not the name of a column of the table.
pub(super) fn rowid_name(connection: &Connection, table: &str) -> rusqlite::Result<Option<&'static str>> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE")?;
    for name in ROWID_NAMES {
        if !statement.exists([table, name])? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The rows of a table, and the same rows with their rowids if these count as content.
type Rows = (RowsDigest, Option<RowsDigest>);

/// Reads the rows of a table, and of its columns, that no write changes.
fn read_rows(
    connection: &Connection,
    table: &str,
    TableNames { torrents, metrics }: TableNames,
    unchecked: &mut Vec<String>,
) -> rusqlite::Result<Rows> {
    if table == metrics {
        let sql = format!(
            "SELECT id, metric_name, CASE metric_name WHEN '{METRIC}' THEN NULL ELSE value END FROM {metrics} NOT INDEXED"
        );
        return Ok((digest_rows(connection, &sql)?, None));
    }
    if table == SEQUENCES {
        let sql = format!(
            "SELECT name, seq FROM {SEQUENCES} WHERE name IS NOT '{torrents}' AND name NOT GLOB '{BOOKKEEPING_PREFIX}*'"
        );
        return Ok((digest_rows(connection, &sql)?, None));
    }
    let Columns { stored, computed, rowid } = Columns::of(connection, table)?;
    let count = stored.len();
    let columns: Vec<String> = stored.into_iter().chain(rowid.map(str::to_owned)).collect();
    let select =
        |columns: &[String]| format!("SELECT {} FROM {} NOT INDEXED", columns.join(", "), quoted(table));
    if !computed.is_empty() {
        let all = [columns.as_slice(), &computed].concat();
        match digest_columns(connection, &select(&all), count, rowid.is_some()) {
            // An expression may fail for a row that is older than the expression. The columns that it uses are read
            // anyway.
            Err(error) if !is_malformed(&error) => unchecked.push(format!(
                "table {table}: its generated columns cannot be computed for every row ({})",
                reason_of(&error)
            )),
            read => return read,
        }
    }
    digest_columns(connection, &select(&columns), count, rowid.is_some())
}

/// The digest of the rows of a query.
fn digest_rows(connection: &Connection, sql: &str) -> rusqlite::Result<RowsDigest> {
    digest_columns(connection, sql, usize::MAX, false).map(|(rows, _)| rows)
}

/// The digests of the first `count` columns of a query, and of one more column if `with_next` is set.
fn digest_columns(
    connection: &Connection,
    sql: &str,
    count: usize,
    with_next: bool,
) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare(sql)?;
    let count = count.min(statement.column_count());
    let mut rows = statement.query([])?;
    let (mut digest, mut more) = (RowsDigest::default(), with_next.then(RowsDigest::default));
    let mut bytes = RowBytes::default();
    while let Some(row) = rows.next()? {
        bytes.clear();
        for column in 0..count {
            bytes.push(field(row.get_ref(column)?));
        }
        digest.add(&bytes);
        if let Some(more) = &mut more {
            bytes.push(field(row.get_ref(count)?));
            more.add(&bytes);
        }
    }
    Ok((digest, more))
}
