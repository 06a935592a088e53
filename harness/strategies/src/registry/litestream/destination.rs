//! How Litestream reaches its replica. The replica is always in a directory of the artifact: behind a server, the server keeps
//! its files there, so that the disaster leaves only them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use machine::error::{Error, Result};
use machine::process::Launcher;
use serde_json::{Value, json};

use crate::artifact_server::{ArtifactAccess, ArtifactServer, BUCKET, Purpose};
use crate::contract::Settings;
use crate::files;

/// The keys of the replica's entry that say where it is.
pub(super) const KEYS: &[&str] = &[
    "access-key-id",
    "bucket",
    "endpoint",
    "force-path-style",
    "host",
    "key-path",
    "path",
    "region",
    "secret-access-key",
    "type",
    "url",
    "user",
];

/// A configured Litestream. The server to which it ships ends with it.
pub(super) struct Configured {
    configuration: PathBuf,
    server: Option<ArtifactServer>,
}

impl Configured {
    /// Starts the server to which Litestream ships, if there is one, and writes the configuration file: `text` makes it from
    /// the keys of the replica's entry that say where the replica is.
    ///
    /// # Errors
    /// [`Error::Environment`] when the server cannot be started or the file cannot be written.
    pub(super) fn new(
        access: ArtifactAccess,
        purpose: Purpose,
        launcher: &Launcher,
        replica: &Path,
        text: impl FnOnce(Settings) -> String,
    ) -> Result<Configured> {
        let name = match purpose {
            Purpose::BackUp => "litestream-replicate",
            Purpose::Restore => "litestream-restore",
        };
        let directory = files::empty_directory(launcher, name)?;
        let server = access.serve(purpose, launcher, &directory, replica)?;
        let place = place(server.as_ref(), replica)?;
        let configuration = directory.join("litestream.yml");
        // It may contain access keys.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&configuration);
        file.and_then(|mut file| file.write_all(text(place).as_bytes())).map_err(|error| {
            Error::Environment(format!("cannot write {}: {error}", configuration.display()))
        })?;
        Ok(Configured { configuration, server })
    }

    /// A command of Litestream with this configuration.
    pub(super) fn command(&self, program: &Path, subcommand: &str) -> Command {
        let mut command = Command::new(program);
        command.args([subcommand, "-config"]).arg(&self.configuration).stdin(Stdio::null());
        if self.server.is_some() {
            // They are for another server: with AWS_CA_BUNDLE, Litestream 0.5.17 does not even start.
            let names = std::env::vars_os().map(|(name, _)| name);
            names.filter(|name| name.as_encoded_bytes().starts_with(b"AWS_")).for_each(|name| {
                command.env_remove(name);
            });
        }
        command
    }
}

/// The keys that say where the replica is.
fn place(server: Option<&ArtifactServer>, replica: &Path) -> Result<Settings> {
    let entry = |keys: &[(&str, Value)]| {
        keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Settings>()
    };
    Ok(match server {
        None => entry(&[("path", json!(replica))]),
        Some(ArtifactServer::S3(server)) => {
            let (id, secret) = server.key()?;
            entry(&[
                ("type", json!("s3")),
                ("bucket", json!(BUCKET)),
                ("path", json!("database")),
                ("endpoint", json!(server.endpoint())),
                ("region", json!("us-east-1")),
                ("force-path-style", json!(true)),
                ("access-key-id", json!(id)),
                ("secret-access-key", json!(secret)),
            ])
        }
        Some(ArtifactServer::Sftp(server)) => entry(&[
            ("type", json!("sftp")),
            ("host", json!(format!("127.0.0.1:{}", server.port()))),
            ("user", json!(server.user())),
            ("key-path", json!(server.identity_file())),
            ("path", json!(replica)),
        ]),
    })
}
