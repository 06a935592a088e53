//! Shared code of strategies that run the sidecar: its container, with the settings and mounts that its README
//! recommends, and the restore.

use std::path::Path;

use engines::configuration;
use engines::mysql::server::{RUN, Server};
use machine::container::{BindMount, Network, Spec};
use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::contract::{BackupContext, RestoreContext, RestoreResult};

/// How the sidecar reads a SQLite database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SqliteMode {
    /// With sqlite3's `.backup`.
    #[default]
    Backup,
    /// With its `.dump`.
    Dump,
}

/// What [`SqliteMode`] means, for cards.
pub const SQLITE_MODE: (&str, &str) = (
    "sqlite_mode",
    "for SQLite: \"backup\" is sqlite3's .backup, \"dump\" its .dump; MySQL is always dumped",
);

/// The container's name in messages.
const NAME: &str = "sidecar container";
/// Default retention time in days, of the strategies and of the sidecar itself.
pub const RETENTION_DAYS: u32 = 7;

const BACKUPS: &str = "/backups";
const DATA: &str = "/data";
const CONFIGURATION: &str = "/config";
const PATHS: &str = "/etc/backup-paths";
const SCRIPTS: &str = "/opt/sidecar";

/// The kinds of artifact in a backup of this subject: the prefixes of their file names.
pub fn kinds(context: &BackupContext<'_>) -> [&'static str; 2] {
    [if context.subject.server().is_some() { "mysql" } else { "sqlite" }, "config"]
}

/// A container that backs up the subject and its configuration files into the destination at an interval, as long as it
/// runs.
///
/// # Errors
/// When its image is missing, or a file that it needs cannot be written.
pub fn looping(
    context: &BackupContext<'_>,
    sqlite_mode: SqliteMode,
    interval_seconds: u32,
    retention_days: u32,
) -> Result<Spec> {
    let mut spec = Spec::new(&context.equipment.image()?.reference, NAME);
    set(&mut spec, "BACKUP_MODE", "loop");
    set(&mut spec, "BACKUP_INTERVAL", &interval_seconds.to_string());
    add_sources(&mut spec, context, sqlite_mode, retention_days)?;
    Ok(spec)
}

/// A container that makes one such backup.
///
/// # Errors
/// As [`looping`].
pub fn single(context: &BackupContext<'_>, sqlite_mode: SqliteMode) -> Result<Spec> {
    let script = format!("{SCRIPTS}/backup.sh");
    let mut spec = Spec::shell(&context.equipment.image()?.reference, NAME, &script);
    set(&mut spec, "BACKUP_MODE", "single");
    add_sources(&mut spec, context, sqlite_mode, RETENTION_DAYS)?;
    Ok(spec)
}

/// Restores the newest backup, with the configuration files beside the database.
///
/// # Errors
/// Why it could not be restored.
pub fn restore(context: &mut RestoreContext<'_>) -> RestoreResult {
    let data = context.subject.data();
    let place = data.parent().expect("a database lies in a directory").to_owned();
    let file = data.file_name().expect("a database has a name").to_string_lossy().into_owned();
    let image = &context.equipment.image()?.reference;
    let restore = |what: &str| format!("{SCRIPTS}/restore.sh {what} --config-to {DATA}");
    let is_file = context.subject.server().is_none();
    let mut spec = if is_file {
        Spec::shell(image, NAME, &restore(&format!("--sqlite-to {DATA}/{file}")))
    } else {
        let server = context.subject.server_mut()?;
        server.start()?;
        let mut spec = Spec::shell(image, NAME, &restore("--mysql"));
        add_server(&mut spec, server)?;
        spec
    };
    spec.network = Network::None;
    mount(&mut spec, context.artifact, BACKUPS, true);
    mount(&mut spec, &place, DATA, false);
    // A dump is decompressed into TMPDIR before it is loaded: this keeps it on the disk of the trial.
    set(&mut spec, "TMPDIR", DATA);
    context.watch.run_container(spec)?;
    // A server makes its own data durable.
    if is_file { context.watch.complete_restore() } else { Ok(context.watch.measured()) }
}

fn add_sources(
    spec: &mut Spec,
    context: &BackupContext<'_>,
    sqlite_mode: SqliteMode,
    retention_days: u32,
) -> Result<()> {
    let data = context.subject.data();
    let live = data.parent().expect("a database lies in a directory");
    spec.network = Network::None;
    mount(spec, context.destination, BACKUPS, false);
    mount(spec, &live.join(configuration::DIRECTORY), CONFIGURATION, true);
    let paths = live.join("backup-paths");
    std::fs::write(&paths, format!("{CONFIGURATION}\n"))
        .map_err(|error| Error::Environment(format!("cannot write {}: {error}", paths.display())))?;
    mount(spec, &paths, PATHS, true);
    set(spec, "BACKUP_PATHS", PATHS);
    set(spec, "RETENTION_DAYS", &retention_days.to_string());
    match context.subject.server() {
        Some(server) => add_server(spec, server)?,
        None => {
            mount(spec, live, DATA, true);
            let file = data.file_name().expect("a database has a name").to_string_lossy();
            set(spec, "SQLITE_DATABASE", &format!("{DATA}/{file}"));
            set(spec, "SQLITE_MODE", if sqlite_mode == SqliteMode::Dump { "dump" } else { "backup" });
        }
    }
    Ok(())
}

/// Adds the connection to a MySQL server, through its socket.
fn add_server(spec: &mut Spec, server: &Server) -> Result<()> {
    let password_file = server.password_file()?;
    let address = server.address();
    spec.mounts.push(server.run_mount());
    set(spec, "MYSQL_HOST", &format!("{RUN}/mysqld.sock"));
    set(spec, "MYSQL_USER", &address.user);
    set(spec, "MYSQL_DATABASE", &address.database);
    set(spec, "MYSQL_PASSWORD_FILE", &password_file);
    Ok(())
}

fn mount(spec: &mut Spec, host: &Path, container: &str, read_only: bool) {
    spec.mounts.push(BindMount { host: host.to_owned(), container: container.to_owned(), read_only });
}

fn set(spec: &mut Spec, name: &str, value: &str) {
    spec.environment.push((name.to_owned(), value.to_owned()));
}
