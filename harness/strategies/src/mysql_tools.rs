//! Shared code of strategies that run the tools of MySQL or MariaDB: in a container, through the server's socket.

use std::path::Path;

use anyhow::anyhow;
use engines::mysql::connection::{Connection, column, reason};
use engines::mysql::server::{ARTIFACT, RUN, Server};
use machine::container::Spec;
use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::contract::{BackupContext, BackupResult, Equipment, RestoreContext, RestoreResult};

/// What a logical dump does so that its tables are of the same moment.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Reads all tables in one transaction.
    SingleTransaction,
    /// Locks all tables for reading.
    LockTables,
    /// Nothing.
    None,
}

/// What [`Consistency`] means, for cards.
pub const CONSISTENCY: (&str, &str) = (
    "consistency",
    "\"single-transaction\"; \"lock-tables\": blocks writers; \"none\": each table at the moment when it is dumped, \
     which is not consistent",
);

/// The setting of the compression level, for cards.
pub const LEVEL: (&str, &str) = ("level", "compression level of zstd, from 1 to 19");

impl Consistency {
    /// The arguments of a dump. `with_position` is the one that records the position in the binary log, if the server
    /// has one: point-in-time recovery starts from it, and it costs a short global lock.
    ///
    /// # Errors
    /// As [`has_binary_log`].
    pub fn arguments(self, server: &Server, with_position: &str) -> Result<String> {
        Ok(match self {
            Consistency::SingleTransaction if has_binary_log(server)? => {
                format!("--single-transaction {with_position}")
            }
            Consistency::SingleTransaction => "--single-transaction".into(),
            Consistency::LockTables => "--lock-tables".into(),
            Consistency::None => "--skip-lock-tables".into(),
        })
    }
}

/// Checks a compression level.
///
/// # Errors
/// The range.
pub fn check_level(level: u32) -> std::result::Result<(), String> {
    if (1..=19).contains(&level) { Ok(()) } else { Err("level must be from 1 to 19".into()) }
}

/// The argument that gives a client the account, password and socket.
pub fn options() -> String {
    format!("--defaults-extra-file={RUN}/client.cnf")
}

/// A container that runs a pipeline of tools, given as a shell script. It can access the server and the artifact, and
/// nothing else.
///
/// # Errors
/// When the image of the tools is missing.
pub fn pipeline(
    name: &'static str,
    equipment: &Equipment<'_>,
    server: &Server,
    artifact: &Path,
    script: &str,
) -> Result<Spec> {
    let mut spec = equipment.container(name, artifact, script)?;
    spec.mounts.push(server.run_mount());
    Ok(spec)
}

/// True when the server writes a binary log. The server is asked, because many options decide this.
///
/// # Errors
/// When the server does not answer.
pub fn has_binary_log(server: &Server) -> Result<bool> {
    let mut connection = Connection::connect_without_database(server.address())?;
    let answer = connection.query("SELECT @@log_bin").map_err(|error| {
        Error::Environment(format!("cannot find out whether the server has a binary log: {}", reason(&error)))
    })?;
    let row = answer.first().ok_or_else(|| Error::Bug(anyhow!("the server gave no row for @@log_bin")))?;
    Ok(column(row, 0)?)
}

/// Runs a dump command, compresses its output into a file of the artifact, and makes that durable.
///
/// # Errors
/// Why there is no dump.
pub fn dump(
    context: &mut BackupContext<'_>,
    program: &'static str,
    arguments: &str,
    level: u32,
    file: &str,
) -> BackupResult {
    let server = context.subject.server_mut()?;
    let (options, database) = (options(), &server.address().database);
    let script = format!(
        "{program} {options} {arguments} --routines --triggers --events {database} \
         | zstd --quiet -{level} -o {ARTIFACT}/{file}"
    );
    let spec = pipeline(program, &context.equipment, server, context.destination, &script)?;
    // The compressed size is unknown.
    context.watch.expect_any_size();
    context.watch.run_container(spec)?;
    context.watch.complete_backup()
}

/// Loads such a file into a fresh server with its command line client.
///
/// # Errors
/// Why it could not be loaded.
pub fn load(context: &mut RestoreContext<'_>, client: &'static str, file: &str) -> RestoreResult {
    let server = context.subject.server_mut()?;
    server.start()?;
    let database = &server.address().database;
    let script = format!("zstd --quiet -d -c {ARTIFACT}/{file} | {client} {} {database}", options());
    let spec = pipeline(client, &context.equipment, server, context.artifact, &script)?;
    context.watch.run_container(spec)?;
    Ok(context.watch.measured())
}

/// Makes the server copy its data directory into the artifact with `CLONE LOCAL DATA DIRECTORY`, after installing the
/// clone plugin if needed, and makes the copy durable.
///
/// # Errors
/// Why there is no copy.
pub fn clone_data(context: &mut BackupContext<'_>) -> BackupResult {
    let target = context.target();
    let name = target.file_name().expect("a target has a name").to_string_lossy();
    let mysql = format!("mysql {}", options());
    let installed = "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'";
    let script = format!(
        "[ \"$({mysql} -N -e \"{installed}\")\" = 1 ] || {mysql} -e \"INSTALL PLUGIN clone SONAME 'mysql_clone.so'\"\n\
         {mysql} -e \"CLONE LOCAL DATA DIRECTORY = '{ARTIFACT}/{name}'\""
    );
    let server = context.subject.server_mut()?;
    let spec = pipeline("mysql", &context.equipment, server, context.destination, &script)?;
    context.watch.run_container(spec)?;
    context.watch.complete_backup()
}
