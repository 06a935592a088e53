//! What strategies share that run MySQL's own tools: in a container, through the server's socket.

use std::path::Path;

use anyhow::anyhow;
use engines::images::Image;
use engines::mysql::connection as mysql;
use engines::mysql::connection::{column, reason};
use engines::mysql::server::{ARTIFACT, RUN, Server};
use machine::container::Spec;
use machine::error::Error;

use crate::halt::Halt;
use crate::strategy::{BackupContext, contained};

/// The argument by which a client gets to know account, password and socket.
pub fn options() -> String {
    format!("--defaults-extra-file={RUN}/client.cnf")
}

/// A pipeline of tools, as a line for the shell, that reaches the server and the artifact and nothing else.
///
/// # Errors
/// Without the image of the tools.
pub fn pipeline(
    name: &'static str,
    tools: Option<&Image>,
    server: &Server,
    artifact: &Path,
    script: &str,
) -> Result<Spec, Halt> {
    let mut spec = contained(name, tools, artifact, script)?;
    spec.mounts.push(server.run_mount());
    Ok(spec)
}

/// True when the server keeps a binary log: asked of the server, because many options decide it.
///
/// # Errors
/// When it does not answer.
pub fn has_binary_log(server: &Server) -> Result<bool, Halt> {
    let mut connection = mysql::Server::connect_without_database(server.address())?;
    let answer = connection.query("SELECT @@log_bin").map_err(|error| {
        Error::Environment(format!(
            "the server does not tell whether it has a binary log: {}",
            reason(&error)
        ))
    })?;
    let row = answer.first().ok_or_else(|| Error::Bug(anyhow!("MySQL gave no row for @@log_bin")))?;
    column(row, 0).map_err(|error| Halt::Error(error.into()))
}

/// Lets the server copy its data directory into the artifact with `CLONE LOCAL DATA DIRECTORY`, after installing the
/// plugin that knows the statement, and makes the copy durable.
///
/// # Errors
/// Why there is no copy.
pub fn clone_data(context: &mut BackupContext<'_>) -> Result<(), Halt> {
    let target = context.target();
    let name = target.file_name().expect("a target has a name").to_string_lossy();
    let mysql = format!("mysql {}", options());
    let installed = "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'";
    let script = format!(
        "[ \"$({mysql} -N -e \"{installed}\")\" = 1 ] || {mysql} -e \"INSTALL PLUGIN clone SONAME 'mysql_clone.so'\"\n\
         {mysql} -e \"CLONE LOCAL DATA DIRECTORY = '{ARTIFACT}/{name}'\""
    );
    let server = context.subject.server_mut()?;
    let spec = pipeline("mysql", context.tools, server, context.destination, &script)?;
    context.watch.contain(spec)?;
    context.watch.make_durable()
}
