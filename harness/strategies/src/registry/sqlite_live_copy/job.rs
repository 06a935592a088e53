//! The job of the worker that holds the read transaction.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use machine::process::work_in_child;
use machine::worker::{Job, Progress};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::copying::{CopyLiveFiles, Header, Manner, beside};
use crate::sqlite_tools::open_live_read_only;

/// Holds a read transaction while a child copies the files.
#[derive(Serialize, Deserialize)]
pub(super) struct CopyInTransaction {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) transaction: bool,
    pub(super) busy_timeout_ms: u64,
    pub(super) header: Header,
    pub(super) fold: bool,
    pub(super) manner: Manner,
}

/// What was copied, and how long the parts took.
#[derive(Serialize, Deserialize)]
pub(super) struct Copied {
    database_bytes: u64,
    /// `None` if there is no log.
    log_bytes: Option<u64>,
    copy_seconds: f64,
    fold_seconds: Option<f64>,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "copied {} bytes of the database", self.database_bytes)?;
        if let Some(bytes) = self.log_bytes {
            write!(f, " and {bytes} bytes of its log")?;
        }
        write!(f, " in {:.3} s", self.copy_seconds)?;
        self.fold_seconds.map_or(Ok(()), |seconds| write!(f, "; folded the log in {seconds:.3} s"))
    }
}

impl Job for CopyInTransaction {
    const NAME: &'static str = "copy in a read transaction";
    type Answer = Copied;

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Copied> {
        let files = [self.target.clone(), beside(&self.target, "-wal")];
        if let Some(there) = files.iter().find(|file| file.exists()) {
            // It may be the backup of another process, which must not be discarded below.
            bail!("{} exists already", there.display());
        }
        let copied = self.copy(report);
        if copied.is_err() {
            // Whatever is there is not a backup. What cannot be removed is removed with the directory of the trial.
            for file in files {
                let _ = std::fs::remove_file(file);
            }
        }
        copied
    }
}

impl CopyInTransaction {
    fn copy(&self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Copied> {
        refuse_wal2(&self.source)?;
        let connection = open_live_read_only(&self.source, Duration::from_millis(self.busy_timeout_ms))?;
        if self.transaction {
            connection.execute_batch("BEGIN")?;
            // Only a read of a table takes a lock.
            read_schema(&connection).context(
                "cannot begin a read transaction (an application with locking_mode = EXCLUSIVE allows none)",
            )?;
        }
        let has_log = journal_mode(&connection)? == "wal";
        let started = Instant::now();
        let log = has_log.then_some(self.header);
        let files = CopyLiveFiles {
            source: self.source.clone(),
            target: self.target.clone(),
            log,
            manner: self.manner,
        };
        let (database_bytes, log_bytes) = work_in_child(&files, report)?;
        if self.transaction {
            read_schema(&connection)
                .context("the read transaction did not last until the end of the copy")?;
            connection.execute_batch("COMMIT").context("cannot end the read transaction")?;
        }
        let copy_seconds = started.elapsed().as_secs_f64();
        let fold_seconds = if self.fold { Some(fold(&self.target)?) } else { None };
        Ok(Copied { database_bytes, log_bytes, copy_seconds, fold_seconds })
    }
}

/// Checkpoints the copied log into the copied database. Returns the duration in seconds.
fn fold(database: &Path) -> anyhow::Result<f64> {
    let started = Instant::now();
    let connection = Connection::open(database).context("cannot open the copy")?;
    let checkpoint = |row: &rusqlite::Row<'_>| row.get(0);
    let busy: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], checkpoint)
        .context("cannot checkpoint the copied log")?;
    // The last connection to close a database removes its log.
    connection.close().map_err(|(_, error)| error).context("cannot close the copy")?;
    if busy != 0 || beside(database, "-wal").exists() {
        bail!("the copied log could not be checkpointed into the copied database");
    }
    Ok(started.elapsed().as_secs_f64())
}

fn read_schema(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

fn journal_mode(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))
}

/// A database in the mode wal2, which only a branch of SQLite has, keeps its log in two files.
fn refuse_wal2(database: &Path) -> anyhow::Result<()> {
    /// Where the header of a database has its read version, and that of wal2.
    const READ_VERSION: (usize, u8) = (19, 3);
    let mut header = [0; READ_VERSION.0 + 1];
    let read =
        std::fs::File::open(database).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut header));
    let is_wal2 = read.is_ok() && header[READ_VERSION.0] == READ_VERSION.1;
    if is_wal2 || beside(database, "-wal2").exists() {
        bail!(
            "the journal mode wal2 is not supported: switch {} to wal, or use another strategy",
            database.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::copying::Method;
    use super::*;

    /// The error for a database that a child never begins to copy.
    fn refused(source: &Path) -> String {
        let manner = Manner {
            bytes_per_second: 0,
            chunk_bytes: 4096,
            method: Method::Direct,
            queue_depth: 1,
            sync_every_bytes: 0,
        };
        let job = CopyInTransaction {
            source: source.to_owned(),
            target: beside(source, "-copy"),
            transaction: true,
            busy_timeout_ms: 20,
            header: Header::Last,
            fold: false,
            manner,
        };
        let error = job.run(&mut |_| {}).err().unwrap();
        format!("{error:#}").replace(&source.display().to_string(), "DATABASE")
    }

    #[test]
    fn the_copy_of_another_process_is_neither_overwritten_nor_discarded() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("database.sqlite");
        Connection::open(&source).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        for suffix in ["-copy", "-copy-wal"] {
            let other = beside(&source, suffix);
            std::fs::write(&other, "another backup").unwrap();
            assert_eq!(refused(&source), format!("DATABASE{suffix} exists already"));
            assert_eq!(std::fs::read(&other).unwrap(), b"another backup");
            std::fs::remove_file(other).unwrap();
        }
    }

    #[test]
    fn a_database_that_allows_no_reader_and_one_in_wal2_mode_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("database.sqlite");
        let application = Connection::open(&source).unwrap();
        application
            .execute_batch("PRAGMA journal_mode = wal; PRAGMA locking_mode = exclusive; CREATE TABLE t (x)")
            .unwrap();
        let exclusive = refused(&source);
        drop(application);
        std::fs::write(beside(&source, "-wal2"), "").unwrap();
        insta::assert_snapshot!([exclusive, refused(&source)].join("\n"), @r"
        cannot begin a read transaction (an application with locking_mode = EXCLUSIVE allows none): database is locked: Error code 5: database is locked
        the journal mode wal2 is not supported: switch DATABASE to wal, or use another strategy
        ");
    }

    #[test]
    fn a_folded_copy_is_one_file_with_everything() {
        let directory = tempfile::tempdir().unwrap();
        let (live, copy) = (directory.path().join("live"), directory.path().join("copy"));
        let application = Connection::open(&live).unwrap();
        let sql = "PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)";
        application.execute_batch(sql).unwrap();
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&live, suffix), beside(&copy, suffix)).unwrap();
        }
        fold(&copy).unwrap();
        assert!(!beside(&copy, "-wal").exists());
        let copy = Connection::open(&copy).unwrap();
        assert_eq!(copy.query_row("SELECT x FROM t", [], |row| row.get(0)), Ok(1));
    }
}
