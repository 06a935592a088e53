//! What strategies share that run SQLite's command line, or its library.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};

use super::halt::Halt;
use super::tool::{SQLITE3, ZSTD};
use super::{BackupContext, RestoreContext, spawn};

/// Opens a database that an application uses, in a worker. A lock is waited for so long.
///
/// # Errors
/// What SQLite says.
pub fn open_live(database: &Path, busy_timeout: Duration) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).context("cannot open the live database")?;
    connection.busy_timeout(busy_timeout)?;
    Ok(connection)
}

/// Runs `sqlite3 DATABASE ARGUMENTS | zstd` into a file of the artifact, and makes it durable. It ends at the first
/// argument that fails.
///
/// # Errors
/// Why there is none.
pub fn dump(context: &mut BackupContext<'_>, arguments: &[&str], level: u32, file: &str) -> Result<(), Halt> {
    let mut dump = Command::new(SQLITE3.command);
    dump.arg(context.subject.data()).args(arguments);
    dump.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut dump = spawn(context.watch, dump)?;
    let mut compress = Command::new(ZSTD.command);
    compress.args(["--quiet", &format!("-{level}"), "-o"]).arg(context.destination.join(file));
    compress.stdin(dump.take_stdout().expect("standard output is piped")).stderr(Stdio::piped());
    let compress = spawn(context.watch, compress)?;
    // How small it will get, nobody knows.
    context.watch.expected_bytes = None;
    context.watch.run(vec![dump, compress])?;
    context.watch.make_durable()
}

/// Runs `zstd -dc FILE | sqlite3 -bail DATABASE` on a file of the artifact, and makes the database durable.
///
/// # Errors
/// Why there is none.
pub fn load(context: &mut RestoreContext<'_>, file: &str) -> Result<(), Halt> {
    let mut decompress = Command::new(ZSTD.command);
    decompress.args(["--quiet", "-d", "-c"]).arg(context.artifact.join(file));
    decompress.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut decompress = spawn(context.watch, decompress)?;
    let mut load = Command::new(SQLITE3.command);
    load.arg("-bail").arg(context.subject.data());
    load.stdin(decompress.take_stdout().expect("standard output is piped"));
    load.stdout(Stdio::piped()).stderr(Stdio::piped());
    let load = spawn(context.watch, load)?;
    context.watch.run(vec![decompress, load])?;
    context.watch.make_durable()
}
