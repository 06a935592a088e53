//! A server in front of the artifact. A strategy that ships its backups itself reaches the artifact through it alone, so that
//! it restores from what has left the machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use machine::error::Result;
use machine::process::{Account, Launcher};
use offsite::destination::DestinationChoice;
use offsite::server::{S3Server, Sshd};
use serde::{Deserialize, Serialize};

/// The bucket of an S3 server.
pub const BUCKET: &str = "backups";
/// What a server uses is not measured.
const ACCOUNT: Account = Account::Preparation;

/// How a strategy reaches its artifact: its setting `destination`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactAccess {
    /// The directory itself.
    #[default]
    Directory,
    /// An S3 server.
    S3,
    /// An SSH server.
    Sftp,
}

/// A running server that keeps its files in the artifact. It ends when it is dropped.
pub enum ArtifactServer {
    /// See [`ArtifactAccess::S3`].
    S3(S3Server),
    /// See [`ArtifactAccess::Sftp`].
    Sftp(Sshd),
}

impl ArtifactAccess {
    /// Starts the server, if there is one, which keeps what it is given in `kept`. `directory` is for its own files.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when it cannot be started.
    pub fn serve(self, launcher: &Launcher, directory: &Path, kept: &Path) -> Result<Option<ArtifactServer>> {
        if self != ArtifactAccess::Directory {
            fs::create_dir_all(kept).context("cannot make a directory for a server")?;
        }
        Ok(match self {
            ArtifactAccess::Directory => None,
            ArtifactAccess::S3 => {
                symlink(kept, directory.join("objects")).context("cannot make a directory for a server")?;
                Some(ArtifactServer::S3(S3Server::start(launcher, ACCOUNT, directory, &[BUCKET])?))
            }
            ArtifactAccess::Sftp => Some(ArtifactServer::Sftp(Sshd::start(launcher, ACCOUNT, directory)?)),
        })
    }
}

impl ArtifactServer {
    /// The destination behind it. `kept` is where it keeps what it is given.
    pub fn destination(&self, kept: &Path) -> DestinationChoice {
        match self {
            ArtifactServer::S3(server) => server.destination(BUCKET),
            ArtifactServer::Sftp(server) => server.destination("sftp", kept),
        }
    }
}
