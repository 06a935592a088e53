//! Databases with irregularities before any trial: an honest copy has the same ones, and all additional damage is
//! found.

use engines::sqlite::own::adopt;
use model::verify::Level;
use reports::record::Check;
use rusqlite::Connection;

use crate::own::Own;

/// A database of an application with its own collation. The order is that of NOCASE.
const COLLATION: &str = "
    CREATE TABLE decks (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE);
    CREATE UNIQUE INDEX decks_name ON decks (name);
    CREATE INDEX decks_some ON decks (name) WHERE id > 1;
    CREATE TABLE fields (deck INTEGER, name TEXT COLLATE NOCASE, PRIMARY KEY (deck, name)) WITHOUT ROWID;
    INSERT INTO decks VALUES (1, 'Basic'), (2, 'cloze'), (3, 'Zoo'), (4, 'anki');
    INSERT INTO fields VALUES (1, 'Front'), (1, 'back'), (2, 'Text');
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'unicase');
";
const JSON: &str = r#"
    CREATE TABLE events (id INTEGER PRIMARY KEY, payload TEXT);
    INSERT INTO events (payload) VALUES ('{"kind": "start"}'), ('lost power her');
    ALTER TABLE events ADD COLUMN kind TEXT GENERATED ALWAYS AS (json_extract(payload, '$.kind')) VIRTUAL;
"#;
const NULLS: &str = "
    CREATE TABLE subtitles (id INTEGER PRIMARY KEY, updated TEXT);
    INSERT INTO subtitles (updated) VALUES ('2024-01-01'), (NULL), (NULL);
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'updated TEXT', 'updated TEXT NOT NULL') WHERE name = 'subtitles';
";
/// A constraint and an index that only the application can compute.
const FUNCTION: &str = "
    CREATE TABLE pages (id INTEGER PRIMARY KEY, url TEXT CHECK (length(url) > 3));
    CREATE INDEX pages_url ON pages (length(url));
    CREATE TABLE others (x INTEGER NOT NULL); CREATE INDEX others_x ON others (x) WHERE x > 1;
    INSERT INTO pages (url) VALUES ('https://one.example/'); INSERT INTO others VALUES (1), (2);
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'length(url)', 'own_length(url)');
";
const MODULE: &str = "
    CREATE TABLE vectors_rows (id INTEGER PRIMARY KEY, v BLOB); INSERT INTO vectors_rows VALUES (1, x'00');
    PRAGMA writable_schema = ON;
    INSERT INTO sqlite_schema VALUES ('table', 'vectors', 'vectors', 0, 'CREATE VIRTUAL TABLE vectors USING vec0(v)');
";
/// A full-text index with a tokenizer that only the application has.
const TOKENIZER: &str = "
    CREATE VIRTUAL TABLE words USING fts5 (body, tokenize = porter);
    INSERT INTO words VALUES ('a drill');
    CREATE TABLE others (x INTEGER NOT NULL); INSERT INTO others VALUES (1), (2);
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'porter', 'own') WHERE name = 'words';
";
/// An index that lacks rows.
const STALE_INDEX: &str = "
    CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX names_name ON names (name);
    INSERT INTO names (name) VALUES ('one'), ('two');
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET type = 'table', name = 'hidden', tbl_name = 'hidden', sql = 'CREATE TABLE hidden (x)'
        WHERE name = 'names_name';
";
const STALE_INDEX_AGAIN: &str = "
    INSERT INTO names (name) VALUES ('three'), ('four');
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET type = 'index', name = 'names_name', tbl_name = 'names',
        sql = 'CREATE INDEX names_name ON names (name)' WHERE name = 'hidden';
";
/// A full-text index over rows that were changed without updating the index.
const STALE_SEARCH: &str = "
    CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('apple'), ('banana');
    CREATE VIRTUAL TABLE notes_search USING fts5 (body, content = 'notes');
    INSERT INTO notes_search (notes_search) VALUES ('rebuild');
    UPDATE notes SET body = 'cherry' WHERE rowid = 1;
";

fn adopted(sql: &str, integrity: Level) -> Own {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.sqlite");
    Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    if sql == STALE_INDEX {
        // A new connection reads the changed schema.
        Connection::open(&file).unwrap().execute_batch(STALE_INDEX_AGAIN).unwrap();
    }
    adopt(&file, 5).unwrap();
    Own::adopted(directory, file, integrity)
}

#[test]
fn irregularities_and_unchecked_parts_are_reported() {
    let remarks = |sql| adopted(sql, Level::Full).expected.remarks().join("\n");
    insta::assert_snapshot!(remarks(COLLATION), @r"
    not checked: index decks_name: the collation unicase is not known here, so its entries are compared, and their order is not checked
    not checked: index decks_some: the collation unicase is not known here, so neither its entries nor their order are checked
    not checked: table fields: the collation unicase is not known here, so the order of its rows is not checked
    ");
    insta::assert_snapshot!(remarks(JSON), @r"
    not checked: integrity_check of table events: malformed JSON
    not checked: integrity_check: SQLite can check only one table after the other here, so it is not checked that each page is used once
    not checked: table events: its generated columns cannot be computed for every row (malformed JSON)
    ");
    insta::assert_snapshot!(
        remarks(NULLS),
        @"found before any trial: integrity_check: NULL value in subtitles.updated (2 of this kind)"
    );
    insta::assert_snapshot!(remarks(FUNCTION), @r"
    not checked: integrity_check of table pages: unknown function: own_length()
    not checked: integrity_check: SQLite can check only one table after the other here, so it is not checked that each page is used once
    ");
    insta::assert_snapshot!(
        remarks(MODULE),
        @"not checked: virtual table vectors: the module vec0 is not known here; the tables that it keeps its rows in are compared, and what it finds by them is not"
    );
    insta::assert_snapshot!(remarks(TOKENIZER), @r"
    not checked: integrity_check: SQLite can check only one table after the other here, so it is not checked that each page is used once
    not checked: virtual table words: the fts5 check cannot be made here: no such tokenizer: own
    ");
    insta::assert_snapshot!(remarks(STALE_INDEX), @r"
    found before any trial: index names_name holds 2 entries and its table 4 rows, and they are not the same
    found before any trial: integrity_check: row 3 missing from index names_name (2 of this kind)
    found before any trial: integrity_check: wrong # of entries in index names_name
    ");
    insta::assert_snapshot!(
        remarks(STALE_SEARCH),
        @"found before any trial: virtual table notes_search: the fts5 check says: the index is damaged, or does not agree with its content"
    );
}

#[test]
fn an_honest_copy_has_the_same_irregularities_and_is_right() {
    for sql in [COLLATION, JSON, NULLS, FUNCTION, MODULE, TOKENIZER, STALE_INDEX, STALE_SEARCH] {
        for integrity in [Level::Full, Level::Fast] {
            let own = adopted(sql, integrity);
            own.after("").assert_right();
            let copy = own.directory.path().join("backup.sqlite");
            let live = Connection::open(own.directory.path().join("own.sqlite")).unwrap();
            live.backup("main", &copy, None::<fn(rusqlite::backup::Progress)>).unwrap();
            own.verify(&copy).assert_right();
        }
    }
}

#[test]
fn additional_damage_is_found() {
    for (sql, damage, line) in [
        (
            COLLATION,
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'unicase', 'NOCASE')",
            "a different definition of table decks",
        ),
        (COLLATION, "CREATE TABLE more (x)", "a new table more"),
        (JSON, "DELETE FROM events WHERE id = 2", "table events: 2 rows"),
        (NULLS, "UPDATE subtitles SET updated = '2024-01-01' WHERE id = 2", "table subtitles: 3 rows"),
        (FUNCTION, "UPDATE others SET x = 3 WHERE x = 2", "table others: 2 rows"),
        (MODULE, "UPDATE vectors_rows SET v = x'01'", "table vectors_rows: 1 rows"),
        (TOKENIZER, "UPDATE words_content SET c0 = 'a drilx'", "table words_content: 1 rows"),
        (TOKENIZER, "DELETE FROM others WHERE x = 1", "table others: 2 rows"),
        (STALE_INDEX, "DELETE FROM names WHERE id = 1", "table names: 4 rows"),
        (STALE_SEARCH, "UPDATE notes SET body = 'date' WHERE rowid = 1", "table notes: 2 rows"),
    ] {
        for integrity in [Level::Full, Level::Fast] {
            let said = adopted(sql, integrity).after(damage);
            assert_eq!(said.content, Some(Check::Fail), "{damage}: {:?}", said.findings);
            assert!(said.findings.iter().any(|found| found.contains(line)), "{damage}: {:?}", said.findings);
        }
    }
}
