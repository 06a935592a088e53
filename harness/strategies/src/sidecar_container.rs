//! Shared code of what runs the sidecar: its container, with the settings and mounts that its README recommends, the
//! restore, and what its scripts are told about a database when they run on this machine.

use std::any::Any;
use std::ffi::OsString;
use std::path::Path;

use engines::configuration;
use engines::instance::Instance;
use engines::mysql::server::{PASSWORD, RUN, Server};
use machine::container::{BindMount, Network, Spec};
use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::contract::{BackupContext, RestoreContext, RestoreResult};

/// How the sidecar reads a SQLite database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SqliteMode {
    /// As the sidecar does by default: [`Copy`](Self::Copy) in WAL mode, otherwise [`Backup`](Self::Backup).
    #[default]
    Auto,
    /// With sqlite3's `.backup`.
    Backup,
    /// As a copy of its files, while sqlite3 holds a read transaction.
    Copy,
    /// With its `.dump`.
    Dump,
}

impl SqliteMode {
    /// Whether a backup of this live database begins again after a commit of another connection.
    pub fn restarts(self, live: &Path) -> bool {
        match self {
            // In WAL mode, a live database has a log beside it.
            SqliteMode::Auto => !Path::new(&format!("{}-wal", live.display())).exists(),
            SqliteMode::Backup => true,
            SqliteMode::Copy | SqliteMode::Dump => false,
        }
    }

    /// Its value of the sidecar's setting.
    fn name(self) -> &'static str {
        match self {
            SqliteMode::Auto => "auto",
            SqliteMode::Backup => "backup",
            SqliteMode::Copy => "copy",
            SqliteMode::Dump => "dump",
        }
    }
}

/// What [`SqliteMode`] means, for cards.
pub const SQLITE_MODE: (&str, &str) = (
    "sqlite_mode",
    "for SQLite: \"backup\" is sqlite3's .backup, \"dump\" its .dump, \"copy\" copies the files inside a read \
     transaction, \"auto\" (default) is \"copy\" in WAL mode and otherwise \"backup\"; MySQL is always dumped",
);

/// The container's name in messages.
const NAME: &str = "sidecar container";
/// Default retention time in days, of the strategy and of the sidecar itself.
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

/// Settings of a sidecar that runs in a loop.
#[derive(Clone, Copy)]
pub struct Loop {
    /// From the start of one backup to the start of the next.
    pub interval_seconds: u32,
    /// Older backups are removed.
    pub retention_days: u32,
    /// Each Nth backup is verified; 0: none.
    pub verify_every: u32,
}

/// A container that backs up the subject and its configuration files into the destination at an interval, as long as it
/// runs.
///
/// # Errors
/// When its image is missing, or a file that it needs cannot be written.
pub fn looping(context: &BackupContext<'_>, sqlite_mode: SqliteMode, looping: Loop) -> Result<Spec> {
    let mut spec = Spec::new(&context.equipment.image()?.reference, NAME);
    set(&mut spec, "BACKUP_MODE", "loop");
    set(&mut spec, "BACKUP_INTERVAL", &looping.interval_seconds.to_string());
    set(&mut spec, "VERIFY_EVERY", &looping.verify_every.to_string());
    set(&mut spec, "RETENTION_DAYS", &looping.retention_days.to_string());
    add_sources(&mut spec, context, sqlite_mode)?;
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
    add_sources(&mut spec, context, sqlite_mode)?;
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

fn add_sources(spec: &mut Spec, context: &BackupContext<'_>, sqlite_mode: SqliteMode) -> Result<()> {
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
    // A trial measures one attempt.
    set(spec, "BACKUP_ATTEMPTS", "1");
    match context.subject.server() {
        Some(server) => add_server(spec, server)?,
        None => {
            mount(spec, live, DATA, true);
            let file = data.file_name().expect("a database has a name").to_string_lossy();
            set(spec, "SQLITE_DATABASE", &format!("{DATA}/{file}"));
            set(spec, "SQLITE_MODE", sqlite_mode.name());
        }
    }
    Ok(())
}

/// The sidecar's settings for this database, when its scripts run on this machine.
///
/// # Errors
/// When the file with the password cannot be written.
pub fn on_this_machine(database: &dyn Instance) -> Result<Vec<(&'static str, OsString)>> {
    let Some(server) = (database as &dyn Any).downcast_ref::<Server>() else {
        return Ok(vec![("SQLITE_DATABASE", database.data().into())]);
    };
    let address = server.address();
    Ok(vec![
        ("MYSQL_HOST", "127.0.0.1".into()),
        ("MYSQL_PORT", address.port.to_string().into()),
        ("MYSQL_USER", address.user.clone().into()),
        ("MYSQL_DATABASE", address.database.clone().into()),
        ("MYSQL_PASSWORD_FILE", server.password_file()?.into()),
    ])
}

/// Adds the connection to a MySQL server, through its socket.
fn add_server(spec: &mut Spec, server: &Server) -> Result<()> {
    server.password_file()?;
    let address = server.address();
    spec.mounts.push(server.run_mount());
    set(spec, "MYSQL_HOST", &format!("{RUN}/mysqld.sock"));
    set(spec, "MYSQL_USER", &address.user);
    set(spec, "MYSQL_DATABASE", &address.database);
    set(spec, "MYSQL_PASSWORD_FILE", PASSWORD);
    Ok(())
}

fn mount(spec: &mut Spec, host: &Path, container: &str, read_only: bool) {
    spec.mounts.push(BindMount { host: host.to_owned(), container: container.to_owned(), read_only });
}

fn set(spec: &mut Spec, name: &str, value: &str) {
    spec.environment.push((name.to_owned(), value.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backup_page_by_page_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("live.db");
        assert!(SqliteMode::Backup.restarts(&live) && SqliteMode::Auto.restarts(&live));
        assert!(!SqliteMode::Copy.restarts(&live) && !SqliteMode::Dump.restarts(&live));
        std::fs::write(directory.path().join("live.db-wal"), "").unwrap();
        assert!(SqliteMode::Backup.restarts(&live) && !SqliteMode::Auto.restarts(&live));
    }

    #[test]
    fn a_mode_has_the_same_name_in_a_scenario_and_in_the_sidecar() {
        for mode in [SqliteMode::Auto, SqliteMode::Backup, SqliteMode::Copy, SqliteMode::Dump] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
    }
}
