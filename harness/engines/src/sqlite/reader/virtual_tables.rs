//! The checks that virtual tables provide.
//!
//! A virtual table stores its data in ordinary tables, which are compared like all others. That does not show whether
//! it matches the rows that it indexes: a full-text index with `content = 'notes'` refers to the rows of `notes` by
//! their rowids, and a restore may have renumbered these.

use std::path::Path;

use model::verify::condition::Condition;
use model::verify::reader::Unreadable;
use rusqlite::{Connection, ErrorCode};

use super::connection::{WhileReading, quoted, reason_of};
use super::private::PrivateDatabase;
use super::tokens::{tokens, unquoted};

/// The beginning of the statement that creates a virtual table, as SQLite writes it into the schema.
pub(super) const VIRTUAL: &str = "CREATE VIRTUAL TABLE ";

/// A virtual table of the schema.
struct VirtualTable {
    name: String,
    /// In lower case.
    module: String,
    /// The value of the argument `content`, if it has one.
    content: Option<String>,
}

/// Runs the checks of all virtual tables of a database. `connection` reads it.
pub(super) fn check(connection: &Connection, database: &Path) -> Result<Condition, Unreadable> {
    let mut condition = Condition::default();
    let tables = list(connection).while_reading("the list of virtual tables")?;
    if tables.is_empty() {
        return Ok(condition);
    }
    let modules = known_modules(connection).while_reading("the list of modules")?;
    let private = PrivateDatabase::open(database).map_err(|error| Unreadable {
        reason: format!("the virtual tables' own checks: {error:#}"),
        malformed: false,
    })?;
    for table in tables {
        let VirtualTable { name, module, content } = &table;
        if !modules.contains(module) {
            condition.unchecked(format!(
                "virtual table {name}: the module {module} is not known here; the tables that it keeps its rows in \
                 are compared, and what it finds by them is not"
            ));
            continue;
        }
        if content.as_ref().is_some_and(String::is_empty) {
            condition.unchecked(format!(
                "virtual table {name}: it is an index without content; whether it agrees with other tables' rows cannot \
                 be checked"
            ));
        }
        table.check(private.connection(), &mut condition);
    }
    Ok(condition)
}

impl VirtualTable {
    fn check(&self, connection: &Connection, condition: &mut Condition) {
        let (name, table) = (&self.name, quoted(&self.name));
        let checked = match self.module.as_str() {
            // With rank 1, an index is also compared with content in another table.
            "fts5" => {
                ask(connection, &format!("INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)"))
            }
            "fts3" | "fts4" => {
                ask(connection, &format!("INSERT INTO {table} ({table}) VALUES ('integrity-check')"))
            }
            "rtree" | "rtree_i32" => connection
                .query_row("SELECT rtreecheck('main', ?1)", [name], |row| row.get::<_, String>(0))
                .map(|said| (said != "ok").then_some(said)),
            // The other modules of this SQLite store nothing in the database.
            _ => Ok(None),
        };
        match checked {
            Ok(None) => {}
            Ok(Some(said)) => {
                condition.wrong(format!("virtual table {name}: the {} check says: {said}", self.module))
            }
            Err(error) => condition.unchecked(format!(
                "virtual table {name}: the {} check cannot be made here: {}",
                self.module,
                reason_of(&error)
            )),
        }
    }
}

/// Runs a check that fails when something is wrong. Returns what is wrong.
fn ask(connection: &Connection, sql: &str) -> rusqlite::Result<Option<String>> {
    match connection.execute(sql, []) {
        Ok(_) => Ok(None),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(Some("the index is damaged, or does not agree with its content".into()))
        }
        Err(error) => Err(error),
    }
}

fn known_modules(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT lower(name) FROM pragma_module_list")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn list(connection: &Connection) -> rusqlite::Result<Vec<VirtualTable>> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND substr(sql, 1, length(?1)) = ?1";
    let mut statement = connection.prepare(sql)?;
    let tables = statement.query_map([VIRTUAL], |row| Ok(parse(row.get(0)?, &row.get::<_, String>(1)?)))?;
    tables.collect()
}

fn parse(name: String, sql: &str) -> VirtualTable {
    let tokens: Vec<&str> = tokens(sql).collect();
    let is = |token: &str, word: &str| token.eq_ignore_ascii_case(word);
    // The name of the table comes before, and can only be this word in quotes.
    let using = tokens.iter().position(|token| is(token, "USING"));
    let module = using.and_then(|using| tokens.get(using + 1)).copied().unwrap_or_default();
    let mut options = tokens.windows(3).filter(|three| is(three[0], "content") && three[1] == "=");
    let content = options
        .next()
        .map(|three| if three[2] == "," || three[2] == ")" { String::new() } else { unquoted(three[2]) });
    VirtualTable { name, module: unquoted(module).to_lowercase(), content }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of the checks for a database made by these statements.
    fn said(sql: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("virtual.db");
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        let before = std::fs::read(&file).unwrap();
        let said = check(&Connection::open(&file).unwrap(), &file).unwrap().lines().collect();
        assert!(std::fs::read(&file).unwrap() == before, "a check wrote to the file");
        said
    }

    #[test]
    fn an_index_that_matches_its_content_passes() {
        for sql in [
            "CREATE TABLE t (x)",
            "CREATE VIRTUAL TABLE s USING fts5(a); INSERT INTO s VALUES ('one two')",
            "CREATE VIRTUAL TABLE s USING fts4(a); INSERT INTO s VALUES ('one two')",
            "CREATE VIRTUAL TABLE s USING fts3(a); INSERT INTO s VALUES ('one two')",
            "CREATE VIRTUAL TABLE s USING rtree(id, x0, x1); INSERT INTO s VALUES (1, 0, 2)",
            "CREATE TABLE notes (body); INSERT INTO notes VALUES ('one'), ('two');
             CREATE VIRTUAL TABLE s USING fts5(body, content = notes); INSERT INTO s (s) VALUES ('rebuild')",
            "CREATE TABLE notes (body); INSERT INTO notes VALUES ('one'), ('two');
             CREATE VIRTUAL TABLE s USING FTS4(content=\"notes\", body); INSERT INTO s (s) VALUES ('rebuild')",
            "CREATE VIRTUAL TABLE s USING fts5(a); CREATE VIRTUAL TABLE v USING fts5vocab('s', 'row')",
        ] {
            assert_eq!(said(sql), Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn rows_that_an_index_takes_for_others_are_found() {
        let notes = "CREATE TABLE notes (body); INSERT INTO notes VALUES ('one'), ('two');";
        for (module, index) in [
            ("fts5", "CREATE VIRTUAL TABLE s USING fts5(body, content = 'notes')"),
            ("fts4", "CREATE VIRTUAL TABLE s USING fts4(content='notes', body)"),
        ] {
            let renumber = "INSERT INTO s (s) VALUES ('rebuild'); UPDATE notes SET rowid = 3 WHERE rowid = 1";
            assert_eq!(
                said(&format!("{notes} {index}; {renumber}")),
                [format!(
                    "virtual table s: the {module} check says: the index is damaged, or does not agree with its content"
                )]
            );
        }
        let node =
            "CREATE VIRTUAL TABLE s USING rtree(id, x0, x1); INSERT INTO s VALUES (1, 0, 2), (2, 1, 3);
                    DELETE FROM s_rowid WHERE rowid = 2";
        let found = said(node);
        assert!(found[0].starts_with("virtual table s: the rtree check says: "), "{found:?}");
    }

    #[test]
    fn what_cannot_be_checked_is_said() {
        let unknown = "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES
                       ('table', 's', 's', 0, 'CREATE VIRTUAL TABLE s USING vec0(a float[3])')";
        let lines = [
            unknown.to_owned(),
            "CREATE VIRTUAL TABLE s USING fts5(a, content = ''); INSERT INTO s (rowid, a) VALUES (1, 'one')"
                .into(),
            unknown.replace("vec0(a float[3])", "fts5(a, tokenize = own)"),
        ]
        .map(|sql| said(&sql).join("\n"));
        insta::assert_snapshot!(lines.join("\n"), @r"
        virtual table s: the module vec0 is not known here; the tables that it keeps its rows in are compared, and what it finds by them is not
        virtual table s: it is an index without content; whether it agrees with other tables' rows cannot be checked
        virtual table s: the fts5 check cannot be made here: vtable constructor failed: s
        ");
    }
}
