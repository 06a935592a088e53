//! Shared code of strategies that run SQLite's command line, or its library.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::how_to_install::HowToInstall;
use machine::tool::Tool;
use rusqlite::{Connection, OpenFlags};

use crate::contract::{BackupContext, BackupResult, RestoreContext, RestoreResult};

/// SQLite's command line.
pub const SQLITE3: Tool = Tool {
    command: "sqlite3",
    version_argument: "--version",
    install: HowToInstall::Packages {
        debian: &["sqlite3"],
        elsewhere: Some(("sqlite", "Alpine, Arch, Fedora")),
    },
};

/// The compressor.
pub const ZSTD: Tool =
    Tool { command: "zstd", version_argument: "--version", install: HowToInstall::packages(&["zstd"]) };

/// How often a busy lock is retried. SQLite's own busy timeout soon retries only ten times a second: with writers in a
/// closed loop in delete mode, which leave gaps of a millisecond between two commits, it got no lock within 10 s.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// Opens a database that an application uses, in a worker. A busy lock is retried every millisecond for `busy_timeout`.
///
/// # Errors
/// The error of SQLite.
pub fn open_live(database: &Path, busy_timeout: Duration) -> anyhow::Result<Connection> {
    open(database, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)
}

/// As [`open_live`], but never writes to the database.
///
/// # Errors
/// The error of SQLite.
pub fn open_live_read_only(database: &Path, busy_timeout: Duration) -> anyhow::Result<Connection> {
    open(database, OpenFlags::SQLITE_OPEN_READ_ONLY, busy_timeout)
}

fn open(database: &Path, flags: OpenFlags, busy_timeout: Duration) -> anyhow::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(database, flags).context("cannot open the live database")?;
    connection.busy_handler(Some(patience(busy_timeout)))?;
    Ok(connection)
}

/// A busy handler: decides, each time a lock is not available, whether to try again.
fn patience(timeout: Duration) -> impl FnMut(i32) -> bool + Send + 'static {
    let mut since = Instant::now();
    move |asked| {
        if asked == 0 {
            since = Instant::now();
        }
        std::thread::sleep(ASK_EVERY);
        since.elapsed() < timeout
    }
}

/// Runs `sqlite3 DATABASE ARGUMENTS | zstd` into a file of the artifact, and makes it durable. It stops at the first
/// argument that fails.
///
/// # Errors
/// Why the dump failed.
pub fn dump(context: &mut BackupContext<'_>, arguments: &[&str], level: u32, file: &str) -> BackupResult {
    let mut dump = Command::new(SQLITE3.command);
    dump.arg(context.subject.data()).args(arguments);
    dump.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut dump = context.watch.spawn(dump)?;
    let mut compress = Command::new(ZSTD.command);
    compress.args(["--quiet", &format!("-{level}"), "-o"]).arg(context.destination.join(file));
    compress.stdin(dump.take_stdout().expect("standard output is piped")).stderr(Stdio::piped());
    let compress = context.watch.spawn(compress)?;
    // The compressed size is unknown.
    context.watch.expect_any_size();
    context.watch.run(vec![dump, compress])?;
    context.watch.complete_backup()
}

/// Runs `zstd -dc FILE | sqlite3 -bail DATABASE` on a file of the artifact, and makes the database durable.
///
/// # Errors
/// Why the load failed.
pub fn load(context: &mut RestoreContext<'_>, file: &str) -> RestoreResult {
    let mut decompress = Command::new(ZSTD.command);
    decompress.args(["--quiet", "-d", "-c"]).arg(context.artifact.join(file));
    decompress.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut decompress = context.watch.spawn(decompress)?;
    let mut load = Command::new(SQLITE3.command);
    load.arg("-bail").arg(context.subject.data());
    load.stdin(decompress.take_stdout().expect("standard output is piped"));
    load.stdout(Stdio::piped()).stderr(Stdio::piped());
    let load = context.watch.spawn(load)?;
    context.watch.run(vec![decompress, load])?;
    context.watch.complete_restore()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_asked_for_far_more_often_than_sqlite_does_and_each_wait_has_its_own_time() {
        let mut patience = patience(Duration::from_millis(300));
        for _ in 0..2 {
            let asked = (0..).take_while(|asked| patience(*asked)).count();
            // SQLite's own handler would try 11 times.
            assert!((30..=300).contains(&asked), "{asked}");
        }
    }

    #[test]
    fn a_lock_that_is_held_for_longer_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("database.sqlite");
        let writer = Connection::open(&file).unwrap();
        writer.execute_batch("CREATE TABLE t (x); BEGIN EXCLUSIVE").unwrap();
        let read = |timeout| {
            let reader = open_live(&file, Duration::from_millis(timeout)).unwrap();
            reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
        };
        let error = read(20).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(read(20).unwrap(), 0);
    }
}
