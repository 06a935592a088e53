//! Shared code of strategies that run MySQL's own tools: in a container, through the server's socket.

use std::path::Path;

use anyhow::anyhow;
use engines::mysql::connection::{Connection, column, reason};
use engines::mysql::server::{ARTIFACT, RUN, Server};
use machine::container::Spec;
use machine::error::{Error, Result};

use crate::contract::{BackupContext, BackupResult, Equipment};

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
    let row = answer.first().ok_or_else(|| Error::Bug(anyhow!("MySQL gave no row for @@log_bin")))?;
    Ok(column(row, 0)?)
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
