//! How Litestream reaches its replica. The replica is always in a directory of the artifact: behind a server, the server keeps
//! its files there, so that the disaster leaves only them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};
use offsite::server::{S3Server, Sshd};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::contract::Settings;

const BUCKET: &str = "backups";
/// What a server uses is not measured.
const ACCOUNT: Account = Account::Preparation;

/// See the setting `destination`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Destination {
    /// The directory itself.
    #[default]
    Directory,
    /// An S3 server.
    S3,
    /// An SSH server.
    Sftp,
}

/// A configured Litestream. The server to which it ships ends with it.
pub(super) struct Configured {
    configuration: PathBuf,
    server: Option<Box<dyn Send>>,
}

impl Configured {
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

impl Destination {
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

    /// The keys that say where the replica is, and the server that is started for it in `directory`.
    fn open(
        self,
        launcher: &Launcher,
        directory: &Path,
        replica: &Path,
    ) -> Result<(Settings, Option<Box<dyn Send>>)> {
        if self != Destination::Directory {
            fs::create_dir_all(replica).context("cannot make a directory for a server")?;
        }
        let entry = |keys: &[(&str, Value)]| {
            keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Settings>()
        };
        Ok(match self {
            Destination::Directory => (entry(&[("path", json!(replica))]), None),
            Destination::S3 => {
                symlink(replica, directory.join("objects"))
                    .context("cannot make a directory for a server")?;
                let server = S3Server::start(launcher, ACCOUNT, directory, &[BUCKET])?;
                let (id, secret) = server.key()?;
                let keys = [
                    ("type", json!("s3")),
                    ("bucket", json!(BUCKET)),
                    ("path", json!("database")),
                    ("endpoint", json!(server.endpoint())),
                    ("region", json!("us-east-1")),
                    ("force-path-style", json!(true)),
                    ("access-key-id", json!(id)),
                    ("secret-access-key", json!(secret)),
                ];
                (entry(&keys), Some(Box::new(server)))
            }
            Destination::Sftp => {
                let server = Sshd::start(launcher, ACCOUNT, directory)?;
                let keys = [
                    ("type", json!("sftp")),
                    ("host", json!(format!("127.0.0.1:{}", server.port()))),
                    ("user", json!(server.user())),
                    ("key-path", json!(server.identity_file())),
                    ("path", json!(replica)),
                ];
                (entry(&keys), Some(Box::new(server)))
            }
        })
    }

    /// Starts the server to which Litestream ships, if there is one, and writes the configuration file: `text` makes it from
    /// the keys of the replica's entry that say where the replica is. `name` is that of its directory in the trial.
    ///
    /// # Errors
    /// [`Error::Environment`] when the server cannot be started or the file cannot be written.
    pub(super) fn configure(
        self,
        launcher: &Launcher,
        name: &str,
        replica: &Path,
        text: impl FnOnce(Settings) -> String,
    ) -> Result<Configured> {
        let directory = launcher.work_directory().join(format!("litestream-{name}"));
        let refused = |error| Error::Environment(format!("cannot write {}: {error}", directory.display()));
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(refused)?;
        }
        fs::create_dir_all(&directory).map_err(refused)?;
        let (place, server) = self.open(launcher, &directory, replica)?;
        let configuration = directory.join("litestream.yml");
        // It may contain access keys.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&configuration);
        file.and_then(|mut file| file.write_all(text(place).as_bytes())).map_err(refused)?;
        Ok(Configured { configuration, server })
    }
}
