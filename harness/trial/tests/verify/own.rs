//! The user's own database: with any schema, damage to any part of it is found.

use std::path::{Path, PathBuf};

use engines::sqlite::database::of_file;
use engines::sqlite::own::adopt;
use model::dataset::own_database::original_torrents;
use model::verify::{ContentDigest, Level, Request, content_digest, verify};
use model::writes::{Marks, Model};
use reports::record::Check;
use rusqlite::Connection;
use tempfile::TempDir;

const SCHEMA: &str = r#"
    CREATE TABLE plain (a, b BLOB, c REAL);
    CREATE TABLE "strange, ""quoted""" (id INTEGER PRIMARY KEY, "order" TEXT COLLATE NOCASE UNIQUE);
    CREATE TABLE pairs (k TEXT, v TEXT, PRIMARY KEY (k, v)) WITHOUT ROWID;
    CREATE TABLE made (w INTEGER, h INTEGER, area INTEGER GENERATED ALWAYS AS (w * h) VIRTUAL,
        name TEXT, loud TEXT GENERATED ALWAYS AS (upper(name)) STORED);
    CREATE TABLE strict_one (x ANY) STRICT;
    CREATE TABLE torrents (info_hash BLOB, seeders INTEGER);
    CREATE TABLE child (parent INTEGER REFERENCES "strange, ""quoted""" (id));
    CREATE INDEX made_area ON made (area);
    CREATE INDEX made_sum ON made (w + h);
    CREATE INDEX some_plain ON plain (a) WHERE a > 5;
    CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x);
    CREATE TABLE bound (x CHECK (x < 40), y DEFAULT 'x  y');
    CREATE VIEW wide AS SELECT * FROM made WHERE w > 1;
    CREATE TRIGGER kept AFTER INSERT ON plain BEGIN UPDATE pairs SET v = v WHERE k = 'x'; END;
    CREATE VIRTUAL TABLE words USING fts5(text);
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
    INSERT INTO plain VALUES (1, x'00ff', 1.5), (9, NULL, -0.25), ('text', x'', 3);
    INSERT INTO "strange, ""quoted""" ("order") VALUES ('one'), ('Two');
    INSERT INTO pairs VALUES ('x', '1'), ('y', '2');
    INSERT INTO made (w, h, name) VALUES (2, 3, 'a'), (4, 5, 'b');
    INSERT INTO strict_one VALUES (1), ('one'), (x'01');
    INSERT INTO torrents VALUES (x'aa', 3);
    INSERT INTO child VALUES (1);
    INSERT INTO counted (x) VALUES (1), (2);
    DELETE FROM counted WHERE id = 2;
    INSERT INTO words VALUES ('a backup is a restore that has not happened yet');
    INSERT INTO boxes VALUES (1, 0.0, 2.0);
    PRAGMA user_version = 7;
    PRAGMA application_id = 11;
    ANALYZE;
"#;

pub struct Own {
    pub directory: TempDir,
    pub expected: ContentDigest,
    integrity: Level,
}

/// The results of the integrity and content checks of a copy, with the findings and the remarks.
pub struct Said {
    pub integrity: Option<Check>,
    pub content: Option<Check>,
    pub findings: Vec<String>,
    pub remarks: Vec<String>,
}

impl Said {
    /// Asserts that the copy is right, without findings or remarks.
    pub fn assert_right(self) {
        assert_eq!(
            (self.integrity, self.content),
            (Some(Check::Pass), Some(Check::Pass)),
            "{:?}",
            self.findings
        );
        assert_eq!((self.findings, self.remarks), (Vec::new(), Vec::new()));
    }
}

impl Own {
    fn new(level: Level) -> Own {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.sqlite");
        Connection::open(&file).unwrap().execute_batch(SCHEMA).unwrap();
        assert_eq!(adopt(&file, 5).unwrap(), Vec::<String>::new());
        Own::adopted(directory, file, level)
    }

    /// An adopted database that is examined with this thoroughness.
    pub fn adopted(directory: TempDir, file: PathBuf, integrity: Level) -> Own {
        let source = of_file(&file);
        let expected =
            content_digest(&source, original_torrents(5).as_ref(), Some(integrity), &mut |_| {}).unwrap();
        Own { directory, expected, integrity }
    }

    /// The results for a copy after `damage`.
    pub fn after(&self, damage: &str) -> Said {
        let copy = self.directory.path().join("copy.sqlite");
        std::fs::copy(self.directory.path().join("own.sqlite"), &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(damage).unwrap();
        self.verify(&copy)
    }

    pub fn verify(&self, copy: &Path) -> Said {
        let model = Model {
            marks: Marks::Stamps,
            seed: 1,
            writers: 1,
            rows_per_transaction: 1,
            multi_row_share: 0.5,
            torrents: original_torrents(5).torrents(),
        };
        let request = Request {
            database: of_file(copy),
            ledger: self.directory.path().to_owned(),
            model,
            expected: self.expected.clone(),
            integrity: self.integrity,
            keep_acknowledged_before_ns: None,
            lack_sent_after_ns: None,
            without_never_completed: false,
            backup_completed_ns: Some(1),
            disaster_ns: 1,
            never_written: Vec::new(),
        };
        let verification = verify(&request, original_torrents(5).as_ref(), &mut |_| {}).unwrap().verification;
        let findings = verification.findings.into_iter();
        // No write was made, so the checks that need one are reported as not checked.
        let findings = findings.filter(|line| !line.contains("not checked")).collect();
        let (integrity, content, remarks) =
            (verification.integrity, verification.content, verification.remarks);
        Said { integrity, content, findings, remarks }
    }
}

#[test]
fn an_honest_copy_is_never_accused() {
    for own in [Level::Full, Level::Fast].map(Own::new) {
        own.after("").assert_right();
        let packed = own.directory.path().join("packed.sqlite");
        let live = Connection::open(own.directory.path().join("own.sqlite")).unwrap();
        live.execute("VACUUM INTO ?1", [packed.to_str().unwrap()]).unwrap();
        own.verify(&packed).assert_right();
    }
}

#[test]
fn damage_to_any_part_is_found() {
    let both = [Level::Full, Level::Fast].map(Own::new);
    for damage in [
        "UPDATE plain SET b = x'00fe' WHERE a = 1",
        "UPDATE plain SET c = 1 WHERE a = 1",
        "UPDATE plain SET a = '1' WHERE a = 1",
        "DELETE FROM plain WHERE a = 9",
        "INSERT INTO plain SELECT * FROM plain WHERE a = 9",
        r#"UPDATE "strange, ""quoted""" SET "order" = 'ONE' WHERE id = 1"#,
        "DELETE FROM pairs WHERE k = 'y'",
        "UPDATE made SET h = 4 WHERE w = 2",
        "UPDATE strict_one SET x = 2 WHERE x = 1",
        "DELETE FROM torrents",
        "DELETE FROM child",
        "INSERT INTO words VALUES ('more')",
        "UPDATE boxes SET x1 = 3.0",
        "UPDATE sqlite_stat1 SET stat = '9' WHERE tbl = 'child'",
        "DROP VIEW wide",
        "DROP TRIGGER kept",
        "DROP INDEX made_sum",
        "DROP TABLE words",
        "DROP TABLE plain",
        "CREATE TABLE more (x)",
        "PRAGMA user_version = 8",
        "PRAGMA application_id = 0",
        "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'counted'",
        "DELETE FROM sqlite_sequence WHERE name = 'counted'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '> 5', '> 6') WHERE name = 'some_plain'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'RTRIM')",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '= ''x', '= ''X') WHERE name = 'kept'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'w > 1', 'w > 2') WHERE name = 'wide'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '40', '41') WHERE name = 'bound'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'x  y', 'x y') WHERE name = 'bound'",
        "DELETE FROM backup_drill_metrics",
        "DELETE FROM backup_drill_torrents WHERE id = 5",
    ] {
        for said in both.each_ref().map(|own| own.after(damage)) {
            assert_eq!(said.content, Some(Check::Fail), "{damage}: {:#?}", said.findings);
        }
    }
}

#[test]
fn differences_that_no_query_shows_are_remarks() {
    let own = Own::new(Level::Full);
    let text = "PRAGMA writable_schema = ON; UPDATE sqlite_schema
                SET sql = replace(sql, 'made (', 'made -- a comment' || char(10) || '(') WHERE type = 'index'";
    for (change, remark) in [
        (
            text,
            "the text of the schema differs only in white space or comments, in index made_area, index made_sum",
        ),
        (
            "UPDATE plain SET rowid = rowid + 7; UPDATE child SET rowid = 9",
            "rowids have changed in child, plain; nothing that can be checked refers to them",
        ),
        ("PRAGMA page_size = 8192; VACUUM", "page_size was 4096 and is 8192"),
        ("PRAGMA auto_vacuum = full; VACUUM", "auto_vacuum was none and is full"),
        ("PRAGMA default_cache_size = 77", "default_cache_size was 0 and is 77"),
    ] {
        let said = own.after(change);
        let passed = (Some(Check::Pass), Some(Check::Pass));
        assert_eq!((said.integrity, said.content), passed, "{change}: {:?}", said.findings);
        assert!(said.remarks.contains(&remark.to_owned()), "{change}: {:?}", said.remarks);
    }
}
