//! Checks a backup without a ledger of the writes that it should contain.
//!
//! It reports what SQLite can check in a file: whether the file is complete, whether indexes match their tables, and
//! whether foreign keys refer to existing rows. It cannot tell which writes are missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use machine::worker::{Job, Progress};
use model::dataset::TableNames;
use model::verify::Level;
use model::verify::condition::Condition;
use model::verify::content::Tables;
use model::verify::digest::RowsDigest;
use model::verify::findings::Findings;
use model::verify::integrity::judge_indexes;
use model::verify::reader::{DatabaseReader, Unreadable};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::reader::{SqliteFile, broken_references, journals};
use crate::files::{Inspected, Inspection};

/// The database has no tables that a workload writes to.
const NO_NAMES: TableNames = TableNames { torrents: "", metrics: "" };

/// What was read from one file.
struct Read {
    file: Findings,
    /// Checks after that of the file: name and condition.
    conditions: Vec<(&'static str, Condition)>,
    tables: Result<Tables, Unreadable>,
}

/// Inspect a backup for which there is no ledger.
#[derive(Serialize, Deserialize)]
pub struct Inspect {
    /// A private copy of it.
    pub backup: PathBuf,
    /// A private copy of the live database, where it was given.
    pub live: Option<PathBuf>,
}

impl Job for Inspect {
    const NAME: &'static str = "inspection of a backup";
    type Answer = Inspection;

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Inspection> {
        inspect(&self.backup, self.live.as_deref())
    }
}

/// Inspects `backup`, and compares it with `live` if that is given. Both must be private copies: the logs next to them
/// are checkpointed into them.
///
/// # Errors
/// When a file cannot be read for a reason that is not a fault of the backup.
pub fn inspect(backup: &Path, live: Option<&Path>) -> anyhow::Result<Inspection> {
    let of_live = live.map(read).transpose()?;
    let Read { file, conditions, tables } = read(backup)?;
    let mut inspection = Inspection { checks: vec![conclude("file", file)], ..Inspection::default() };
    for (number, (name, condition)) in conditions.into_iter().enumerate() {
        let mut findings = Findings::new(name);
        // An irregularity that the live database has as well is not a fault of the backup.
        let before = of_live.as_ref().map(|live| live.conditions[number].1.clone()).unwrap_or_default();
        condition.judge(&before, &mut findings);
        inspection.checks.push(conclude(name, findings));
    }
    let mut findings = Findings::new("tables");
    match &tables {
        Ok(tables) => {
            let digests = tables.digests.values().filter_map(|digest| digest.as_ref().ok());
            inspection.rows = digests.map(|digest| digest.rows).sum();
            inspection.tables =
                tables.digests.keys().filter(|name| !name.starts_with("sqlite_")).count() as u64;
            if inspection.tables == 0 {
                findings.wrong(|| "the database has no tables".to_owned());
            }
            for unreadable in tables.digests.values().filter_map(|digest| digest.as_ref().err()) {
                enter(unreadable, &mut findings);
            }
        }
        Err(unreadable) => enter(unreadable, &mut findings),
    }
    inspection.checks.push(conclude("tables", findings));
    inspection.differences = of_live.and_then(|live| Some(differences(&tables.ok()?, &live.tables.ok()?)));
    Ok(inspection)
}

fn conclude(name: &'static str, findings: Findings) -> Inspected {
    let mut lines = Vec::new();
    let result = findings.conclude(&mut lines);
    let prefix = format!("{name}: ");
    let lines = lines.into_iter().map(|line| line.strip_prefix(&prefix).unwrap_or(&line).to_owned());
    Inspected { name: name.to_owned(), result, lines: lines.collect() }
}

fn enter(unreadable: &Unreadable, findings: &mut Findings) {
    if unreadable.malformed {
        findings.wrong(|| unreadable.reason.clone());
    } else {
        findings.cannot(&unreadable.reason);
    }
}

/// Runs all checks of a file.
fn read(path: &Path) -> anyhow::Result<Read> {
    let mut file = Findings::new("file");
    let of_log =
        journals(path).into_iter().find(|journal| fs::metadata(journal).is_ok_and(|log| log.len() > 0));
    if let Err(error) = settle(path) {
        file.wrong(|| match &of_log {
            Some(_) => format!("SQLite cannot open it with the log file next to it: {error}"),
            None => format!("SQLite cannot open it: {error}"),
        });
    }
    let engine = SqliteFile { path, names: NO_NAMES };
    engine.look(&mut file);
    let steps = AtomicU64::new(0);
    let checked =
        condition_of(engine.check(Level::Full, &steps), |condition, checked| condition.absorb(checked));
    let indexes =
        condition_of(engine.indexes(), |condition, indexes| judge_indexes(&indexes, None, condition));
    let references = condition_of(broken_references(path), |condition, lines| {
        lines.into_iter().for_each(|line| condition.wrong(line));
    });
    let conditions = vec![
        ("integrity_check and virtual tables", checked),
        ("indexes", indexes),
        ("foreign keys", references),
    ];
    Ok(Read { file, conditions, tables: engine.tables() })
}

fn condition_of<T>(read: Result<T, Unreadable>, enter: impl FnOnce(&mut Condition, T)) -> Condition {
    let mut condition = Condition::default();
    match read {
        Ok(read) => enter(&mut condition, read),
        Err(unreadable) => condition.unreadable(&unreadable),
    }
    condition
}

/// Checkpoints the log of a copy into it, as SQLite does when an application opens the backup.
fn settle(copy: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    connection.pragma_update(None, "journal_mode", "delete")?;
    connection.close().map_err(|(_, error)| error)
}

/// How a backup differs from the live database, one line each.
fn differences(backup: &Tables, live: &Tables) -> Vec<String> {
    let mut lines = Vec::new();
    for object in &live.schema {
        match backup.schema.iter().find(|other| (&other.kind, &other.name) == (&object.kind, &object.name)) {
            None => lines.push(format!("{} {} is missing in the backup", object.kind, object.name)),
            Some(other) if other.sql != object.sql => {
                lines.push(format!(
                    "{} {} has a different definition in the backup",
                    object.kind, object.name
                ));
            }
            Some(_) => {}
        }
    }
    for object in &backup.schema {
        if !live.schema.iter().any(|other| (&other.kind, &other.name) == (&object.kind, &object.name)) {
            lines.push(format!("{} {} is only in the backup", object.kind, object.name));
        }
    }
    for (table, rows) in &live.digests {
        if let (Ok(live), Some(Ok(backup))) = (rows, backup.digests.get(table)) {
            lines.extend(difference_of_rows(table, *backup, *live));
        }
    }
    lines
}

fn difference_of_rows(table: &str, backup: RowsDigest, live: RowsDigest) -> Option<String> {
    if backup == live {
        return None;
    }
    Some(if backup.rows == live.rows {
        format!("table {table}: same number of rows ({}), but different content", live.rows)
    } else {
        format!("table {table}: {} rows in the backup, {} in the live database", backup.rows, live.rows)
    })
}

#[cfg(test)]
mod tests {
    use reports::record::Check;

    use super::*;

    fn database(directory: &Path, name: &str, sql: &str) -> std::path::PathBuf {
        let file = directory.join(name);
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        file
    }

    fn shown(inspection: &Inspection) -> String {
        let checks = inspection.checks.iter().map(|check| {
            let lines: String = check.lines.iter().map(|line| format!("\n  {line}")).collect();
            format!("{}: {:?}{lines}", check.name, check.result)
        });
        let differences = inspection.differences.iter().flatten().map(|line| format!("differs: {line}"));
        checks.chain(differences).collect::<Vec<_>>().join("\n")
    }

    const SQL: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
                       CREATE INDEX named ON t (name);
                       CREATE TABLE part (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id));
                       INSERT INTO t VALUES (1, 'one'), (2, 'two');
                       INSERT INTO part VALUES (1, 1);";

    #[test]
    fn an_intact_backup_is_compared_with_the_live_database() {
        let directory = tempfile::tempdir().unwrap();
        let backup = database(directory.path(), "backup.db", SQL);
        let more = "INSERT INTO t VALUES (3, 'three'); UPDATE part SET t = 2; CREATE TABLE late (x);";
        let live = database(directory.path(), "live.db", &format!("{SQL}{more}"));
        let inspection = inspect(&backup, Some(&live)).unwrap();
        assert_eq!((inspection.tables, inspection.rows), (2, 3));
        insta::assert_snapshot!(shown(&inspection), @r"
        file: Some(Pass)
        integrity_check and virtual tables: Some(Pass)
        indexes: Some(Pass)
        foreign keys: Some(Pass)
        tables: Some(Pass)
        differs: table late is missing in the backup
        differs: table part: same number of rows (1), but different content
        differs: table t: 2 rows in the backup, 3 in the live database
        ");
    }

    #[test]
    fn damage_is_found_unless_the_live_database_has_it_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let dangling = format!("{SQL}PRAGMA foreign_keys = off; INSERT INTO part VALUES (2, 9), (3, 10);");
        let backup = database(directory.path(), "backup.db", &dangling);
        insta::assert_snapshot!(shown(&inspect(&backup, None).unwrap()), @r"
        file: Some(Pass)
        integrity_check and virtual tables: Some(Pass)
        indexes: Some(Pass)
        foreign keys: Some(Fail)
          table part: 2 rows refer to rows that t does not have
        tables: Some(Pass)
        ");
        let live = database(directory.path(), "live.db", &dangling);
        let both = inspect(&backup, Some(&live)).unwrap();
        assert!(both.checks.iter().all(|check| check.result == Some(Check::Pass)), "{}", shown(&both));
        // The last page is missing.
        let bytes = fs::metadata(&backup).unwrap().len();
        fs::File::options().write(true).open(&backup).unwrap().set_len(bytes - 4096).unwrap();
        let inspection = inspect(&backup, None).unwrap();
        assert_eq!(inspection.checks[0].result, Some(Check::Fail), "{}", shown(&inspection));
        let empty = database(directory.path(), "empty.db", "CREATE TABLE t (x); DROP TABLE t;");
        let inspection = inspect(&empty, None).unwrap();
        let last = inspection.checks.last().expect("checks were made");
        assert_eq!(last.lines, ["the database has no tables"], "{}", shown(&inspection));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn a_database_with_any_damage_is_inspected(
            damage in proptest::collection::vec(proptest::prelude::any::<(usize, u8)>(), 0..40), cut: Option<usize>,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let file = database(directory.path(), "backup.db", SQL);
            let mut bytes = fs::read(&file).unwrap();
            for (at, byte) in damage {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut % bytes.len()));
            fs::write(&file, bytes).unwrap();
            let inspection = inspect(&file, None).unwrap();
            proptest::prop_assert!(inspection.checks.iter().any(|check| check.name == "file"));
        }
    }
}
