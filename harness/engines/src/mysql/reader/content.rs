//! The schema and the small tables.

use model::dataset::{SCRATCH_TABLE, TableNames};
use model::verify::content::{METRIC, SchemaObject, Tables};
use model::verify::reader::Unreadable;

use super::rows::{Reader, optional, text, unexpected};
use crate::mysql::connection::{literal, quoted};

/// On a server, only the tracker's own schema is supported.
pub(super) const TORRENTS: &str = TableNames::TRACKER.torrents;
const METRICS: &str = TableNames::TRACKER.metrics;

/// All objects of a schema except tables: kind, name, the table that it belongs to, and its definition.
const OTHER_OBJECTS: &str = "
    SELECT 'view', TABLE_NAME, TABLE_NAME, VIEW_DEFINITION
    FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE()
    UNION ALL
    SELECT 'trigger', TRIGGER_NAME, EVENT_OBJECT_TABLE,
           CONCAT_WS(' ', ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, ACTION_STATEMENT)
    FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()
    UNION ALL
    SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, '', ROUTINE_DEFINITION
    FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()
    UNION ALL
    SELECT 'event', EVENT_NAME, '', EVENT_DEFINITION
    FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()";

/// Reads the schema and every table except `torrents`.
pub(super) fn read_tables(reader: &mut Reader) -> Result<Tables, Unreadable> {
    let tables = base_tables(reader)?;
    let mut schema = other_objects(reader)?;
    for table in &tables {
        schema.push(table_object(reader, table)?);
    }
    schema.sort();
    let digests = tables.iter().filter(|table| *table != TORRENTS).map(|table| {
        let digest = reader.digest(&untouched_rows(table), &format!("table {table}"));
        (table.clone(), digest)
    });
    let digests = digests.collect();
    let metric = format!("SELECT value FROM {METRICS} WHERE metric_name = {}", literal(METRIC));
    let metric = number(reader, &metric, METRIC);
    let next_id = format!(
        "SELECT AUTO_INCREMENT FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {}",
        literal(TORRENTS)
    );
    let next_id = number(reader, &next_id, "the next id of torrents");
    let sequence = Some(next_id.map(|next_id| next_id.map(|next_id| next_id - 1)));
    // Every row has a primary key, and the layout of files is up to the server.
    let (rowids, layout, unchecked) = Default::default();
    Ok(Tables { schema, digests, rowids, layout, metric, sequence, unchecked })
}

/// The tables that hold rows.
pub(super) fn base_tables(reader: &mut Reader) -> Result<Vec<String>, Unreadable> {
    let sql = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_TYPE = 'BASE TABLE' AND TABLE_NAME <> '{SCRATCH_TABLE}' ORDER BY TABLE_NAME"
    );
    reader.rows(&sql, "the list of tables", |row| text(row, 0))
}

/// The number in the first row of a query; `None` if there is no row, or it is null.
fn number(reader: &mut Reader, sql: &str, what: &str) -> Result<Option<i64>, Unreadable> {
    let numbers = reader.rows(sql, what, |row| optional::<i64>(row, 0))?;
    Ok(numbers.into_iter().next().flatten())
}

fn other_objects(reader: &mut Reader) -> Result<Vec<SchemaObject>, Unreadable> {
    reader.rows(OTHER_OBJECTS, "the schema", |row| {
        let sql = optional(row, 3)?;
        Ok(SchemaObject { kind: text(row, 0)?, name: text(row, 1)?, table: text(row, 2)?, sql })
    })
}

fn table_object(reader: &mut Reader, table: &str) -> Result<SchemaObject, Unreadable> {
    let what = format!("the schema of table {table}");
    let created = reader.rows(&format!("SHOW CREATE TABLE {}", quoted(table)), &what, |row| text(row, 1))?;
    let sql = created.into_iter().next();
    let sql = sql.ok_or_else(|| unexpected(&what, &anyhow::anyhow!("the server returned nothing")))?;
    Ok(SchemaObject {
        kind: "table".into(),
        name: table.into(),
        table: table.into(),
        sql: Some(without_next_id(&sql)),
    })
}

/// The statement without the next id, which is compared separately, because writes increase it.
fn without_next_id(sql: &str) -> String {
    // The options follow the columns; no text of a user precedes the id there.
    let options = sql.rfind("\n)").unwrap_or(sql.len());
    let (columns, options) = sql.split_at(options);
    let Some((before, after)) = options.split_once(" AUTO_INCREMENT=") else {
        return sql.to_owned();
    };
    let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{columns}{before}{after}")
}

/// The query for the rows of a table, and of its columns, that no write changes.
fn untouched_rows(table: &str) -> String {
    match table {
        METRICS => format!(
            "SELECT id, metric_name, CASE metric_name WHEN {} THEN NULL ELSE value END FROM {METRICS}",
            literal(METRIC)
        ),
        other => format!("SELECT * FROM {}", quoted(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_is_not_part_of_the_schema() {
        let sql =
            "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB";
        assert_eq!(
            without_next_id(&format!("{sql} AUTO_INCREMENT=71 DEFAULT CHARSET=utf8mb4")),
            format!("{sql} DEFAULT CHARSET=utf8mb4")
        );
        assert_eq!(without_next_id(sql), sql);
    }
}
