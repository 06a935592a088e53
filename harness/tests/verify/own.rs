//! A database of the user's own: whatever its schema is, damage to any part of it is found.

use std::path::Path;

use harness::dataset::own::{adopt, origin};
use harness::verify::{ContentDigest, Database, Integrity, Request, content_digest, verify};
use harness::workload::model::{Marks, Model};
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
    INSERT INTO words VALUES ('a backup is a restore that has not happened yet');
    INSERT INTO boxes VALUES (1, 0.0, 2.0);
    PRAGMA user_version = 7;
    PRAGMA application_id = 11;
    ANALYZE;
"#;

struct Own {
    directory: TempDir,
    expected: ContentDigest,
}

impl Own {
    fn new() -> Own {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.sqlite");
        Connection::open(&file).unwrap().execute_batch(SCHEMA).unwrap();
        adopt(&file, 5, Integrity::Full).unwrap();
        let expected = content_digest(&Database::Sqlite(file), origin(5).as_ref(), &mut |_| {}).unwrap();
        Own { directory, expected }
    }

    /// What the checks of integrity and content say of a copy that `damage` was done to.
    fn after(&self, damage: &str) -> (Option<Check>, Option<Check>, Vec<String>) {
        let copy = self.directory.path().join("copy.sqlite");
        std::fs::copy(self.directory.path().join("own.sqlite"), &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(damage).unwrap();
        self.verify(&copy)
    }

    fn verify(&self, copy: &Path) -> (Option<Check>, Option<Check>, Vec<String>) {
        let model = Model {
            marks: Marks::Stamps,
            seed: 1,
            writers: 1,
            rows_per_transaction: 1,
            multi_row_share: 0.5,
            torrents: origin(5).torrents(),
        };
        let request = Request {
            database: Database::Sqlite(copy.to_owned()),
            ledger: self.directory.path().to_owned(),
            model,
            expected: self.expected.clone(),
            integrity: Integrity::Full,
            keep_acknowledged_before_ns: None,
            lack_sent_after_ns: None,
            without_never_completed: false,
            backup_completed_ns: 1,
            disaster_ns: 1,
            never_written: Vec::new(),
        };
        let verification = verify(&request, origin(5).as_ref(), &mut |_| {}).unwrap().verification;
        let findings = verification.findings.into_iter();
        // No write was made, and that is said of the checks that need one.
        let findings = findings.filter(|line| !line.contains("not checked")).collect();
        (verification.integrity, verification.content, findings)
    }
}

#[test]
fn an_honest_copy_is_never_accused() {
    let own = Own::new();
    assert_eq!(own.after(""), (Some(Check::Pass), Some(Check::Pass), Vec::new()));
    // Packed anew, rows may have other rowids where they have no name.
    let packed = own.directory.path().join("packed.sqlite");
    let live = Connection::open(own.directory.path().join("own.sqlite")).unwrap();
    live.execute("VACUUM INTO ?1", [packed.to_str().unwrap()]).unwrap();
    assert_eq!(own.verify(&packed), (Some(Check::Pass), Some(Check::Pass), Vec::new()));
}

#[test]
fn damage_to_any_part_is_found() {
    let own = Own::new();
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
        "DELETE FROM backup_drill_metrics",
        "DELETE FROM backup_drill_torrents WHERE id = 5",
    ] {
        let (_, content, findings) = own.after(damage);
        assert_eq!(content, Some(Check::Fail), "{damage}: {findings:#?}");
    }
}
