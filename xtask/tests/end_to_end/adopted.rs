//! Users' own databases with irregularities: every database that SQLite can open is accepted, parts that cannot be
//! checked are reported, and a restored copy must show the same irregularities and no others.

use reports::record::Verdict;
use rusqlite::Connection;

use super::*;

/// Two copies of the bytes, and a dump that recreates the database.
const VARIANTS: &str = r#"
    [[variants]]
    strategy = "cold-copy"
    [[variants]]
    strategy = "sqlite-online-backup"
    settings = { step_pages = -1 }
    [[variants]]
    name = "dump"
    strategy = "external"
    [variants.settings]
    backup = 'sqlite3 "$DRILL_SOURCE" ".timeout 10000" .dump > "$DRILL_DESTINATION/dump.sql"'
    restore = 'sqlite3 -bail "$DRILL_TARGET" < "$DRILL_ARTIFACT/dump.sql"'
"#;

/// A run on a user's own database.
struct Adopted {
    place: Place,
    output: Output,
}

impl Adopted {
    /// Runs the variants on a database that these statements create and `change` then modifies.
    fn new(sql: &str, change: impl FnOnce(&Path)) -> Adopted {
        let place = Place::shared();
        let file = place.path().join("own.db");
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        change(&file);
        let output = Adopted::run(&place, &file);
        Adopted { place, output }
    }

    fn run(place: &Place, file: &Path) -> Output {
        let scenario = place.scenario(SMALL, VARIANTS);
        place.run(&["run", scenario.to_str().unwrap(), "--database", file.to_str().unwrap()])
    }

    /// Asserts that copies of the bytes are correct without a remark, and that `dump` has this verdict. Returns its
    /// reason.
    fn dump_is(&self, verdict: Verdict) -> String {
        let results = self.place.results();
        for part in ["cold-copy", "online-backup"] {
            let trial = trial(&results, part);
            let found = (trial.verdict, trial.reason.as_str());
            assert_eq!(found, (Verdict::Restorable, "all checks passed"), "{part}");
        }
        let dump = trial(&results, "external:dump/");
        assert_eq!(dump.verdict, verdict, "{}", dump.reason);
        self.place.assert_clean();
        dump.reason.clone()
    }

    /// The remarks about the database before the trials: the same on the terminal, in the record and in the report.
    fn remarks(&self) -> Vec<String> {
        let said = text(&self.output);
        let report = std::fs::read_to_string(self.place.path().join("latest/report.md")).unwrap();
        let remarks = self.place.results().trials[0].dataset.remarks.clone();
        for remark in &remarks {
            assert_eq!(said.matches(remark.as_str()).count(), 1, "{remark}: {said}");
        }
        assert_eq!(
            report.contains("### Irregularities in the source database"),
            !remarks.is_empty(),
            "{report}"
        );
        remarks
    }
}

#[test]
fn a_file_longer_than_its_header_says_is_not_damage() {
    let adopted = Adopted::new("CREATE TABLE visits (id INTEGER PRIMARY KEY, url TEXT)", |file| {
        std::fs::File::options().write(true).open(file).unwrap().set_len(5 << 20).unwrap();
    });
    adopted.dump_is(Verdict::Restorable);
    let remarks = adopted.remarks();
    assert!(remarks[0].starts_with("the file is 5.0 MiB longer than its header says"), "{remarks:?}");
}

#[test]
fn rows_that_a_search_finds_by_their_rowids_have_to_keep_them() {
    let search = "CREATE TABLE notes (body TEXT);
                  INSERT INTO notes VALUES ('rain'), ('sun'), ('snow');
                  CREATE VIRTUAL TABLE notes_search USING fts5 (body, content = 'notes');
                  INSERT INTO notes_search (notes_search) VALUES ('rebuild');
                  INSERT INTO notes_search (notes_search, rowid, body) VALUES ('delete', 1, 'rain');
                  DELETE FROM notes WHERE rowid = 1;";
    let adopted = Adopted::new(search, |_| ());
    let reason = adopted.dump_is(Verdict::Corrupt);
    assert!(reason.contains("virtual table notes_search: the fts5 check says"), "{reason}");
    assert_eq!(adopted.remarks(), Vec::<String>::new());
    let results = adopted.place.results();
    let dump = trial(&results, "external:dump/").verification.as_ref().unwrap();
    assert_eq!(dump.remarks, ["rowids have changed in notes"]);
}

#[test]
fn rowids_that_nothing_refers_to_are_a_remark() {
    let adopted = Adopted::new(
        "CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('rain'), ('sun'); DELETE FROM notes WHERE rowid = 1",
        |_| (),
    );
    assert_eq!(
        adopted.dump_is(Verdict::Restorable),
        "all checks passed; remark: rowids have changed in notes; nothing that can be checked refers to them"
    );
    let report = std::fs::read_to_string(adopted.place.path().join("latest/report.md")).unwrap();
    assert!(report.contains("### Harmless differences in restored databases"), "{report}");
}

#[test]
fn a_collation_that_only_the_application_has_is_reported_as_not_checked() {
    let collation = "CREATE TABLE artists (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE);
                     CREATE INDEX artists_name ON artists (name);
                     CREATE TABLE tags (artist INTEGER, tag TEXT COLLATE NOCASE, PRIMARY KEY (tag, artist)) WITHOUT ROWID;
                     INSERT INTO artists VALUES (1, 'Zoe'), (2, 'adele');
                     INSERT INTO tags VALUES (1, 'Pop'), (2, 'soul');
                     PRAGMA writable_schema = ON;
                     UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'by_sound');";
    let adopted = Adopted::new(collation, |_| ());
    let reason = adopted.dump_is(Verdict::Failed);
    assert!(reason.contains("no such collation sequence: by_sound"), "{reason}");
    let remarks = adopted.remarks();
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(
        remarks.iter().all(|line| line.contains("the collation by_sound is not known here")),
        "{remarks:?}"
    );
}

#[test]
fn an_expression_that_fails_on_an_old_row_is_reported_as_not_checked() {
    let expression = "CREATE TABLE readings (id INTEGER PRIMARY KEY, raw TEXT);
                      INSERT INTO readings (raw) VALUES ('{\"celsius\": 21}'), ('{\"celsi');
                      ALTER TABLE readings ADD COLUMN celsius GENERATED ALWAYS AS (json_extract(raw, '$.celsius')) VIRTUAL;";
    let adopted = Adopted::new(expression, |_| ());
    let reason = adopted.dump_is(Verdict::Failed);
    assert!(reason.contains("malformed JSON"), "{reason}");
    assert!(adopted.remarks().iter().any(|line| line.contains("generated columns cannot be computed")));
}

#[test]
fn a_null_that_existed_before_the_trial_is_expected() {
    let null = "CREATE TABLE films (id INTEGER PRIMARY KEY, year INTEGER);
                INSERT INTO films (year) VALUES (1968), (NULL);
                PRAGMA writable_schema = ON;
                UPDATE sqlite_schema SET sql = replace(sql, 'year INTEGER', 'year INTEGER NOT NULL') WHERE name = 'films';";
    let adopted = Adopted::new(null, |_| ());
    let reason = adopted.dump_is(Verdict::Failed);
    assert!(reason.contains("NOT NULL constraint failed: films.year"), "{reason}");
    assert_eq!(adopted.remarks(), ["found before any trial: integrity_check: NULL value in films.year"]);
}

#[test]
fn a_schema_is_compared_by_its_meaning() {
    let comment = "CREATE TABLE trips (id INTEGER PRIMARY KEY, ended TEXT);
                   CREATE INDEX trips_ended ON trips (ended) -- for the list of open ones\n;";
    let adopted = Adopted::new(comment, |_| ());
    assert_eq!(
        adopted.dump_is(Verdict::Restorable),
        "all checks passed; remark: the text of the schema differs only in white space or comments, in index trips_ended"
    );
}

#[test]
fn an_empty_encrypted_or_truncated_file_is_refused_in_one_sentence() {
    let place = Place::shared();
    let file = place.path().join("own.db");
    let refusal = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        let output = Adopted::run(&place, &file);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
        error.replace(&place.path().display().to_string(), "PLACE")
    };
    let empty = refusal(b"");
    let mut random = vec![0; 8192];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
    let encrypted = refusal(&random);
    let whole = place.path().join("whole.db");
    Connection::open(&whole)
        .unwrap()
        .execute_batch("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)")
        .unwrap();
    let whole = std::fs::read(whole).unwrap();
    let cut_off = refusal(&whole[..4096]);
    insta::assert_snapshot!([empty, encrypted, cut_off].join("\n"), @r"
    error: cannot use PLACE/own.db as a database: the file is empty
    error: cannot use PLACE/own.db as a database: not a SQLite database: bad file header, and the content looks encrypted or compressed; give a decrypted, unpacked copy
    error: cannot use PLACE/own.db: SQLite cannot open it: database disk image is malformed: the file is 8.0 KiB shorter than its header says
    ");
    place.assert_clean();
}
