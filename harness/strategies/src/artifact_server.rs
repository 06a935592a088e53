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
/// How the names of the S3 server's temporary files begin.
const TEMPORARY: &[u8] = b".tmp.";
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

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It takes backups. Only one server at a time may do that for an artifact.
    BackUp,
    /// It gives them back, possibly while another one takes more.
    Restore,
}

/// A running server that keeps its files in the artifact. It ends when it is dropped.
pub enum ArtifactServer {
    /// See [`ArtifactAccess::S3`].
    S3(S3Server),
    /// See [`ArtifactAccess::Sftp`].
    Sftp(Sshd),
}

impl ArtifactAccess {
    /// Whether it goes through a server, which stands for another machine.
    pub fn is_remote(self) -> bool {
        self != ArtifactAccess::Directory
    }

    /// What is missing on this machine to run the server, and how to get it.
    pub fn missing(self) -> Option<String> {
        match self {
            ArtifactAccess::Directory | ArtifactAccess::S3 => None,
            ArtifactAccess::Sftp => Sshd::missing(),
        }
    }

    /// Starts the server, if there is one, which keeps what it is given in `kept`. `directory` is for its own files.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when it cannot be started.
    pub fn serve(
        self,
        purpose: Purpose,
        launcher: &Launcher,
        directory: &Path,
        kept: &Path,
    ) -> Result<Option<ArtifactServer>> {
        if self.is_remote() {
            fs::create_dir_all(kept).context("cannot make a directory for a server")?;
        }
        Ok(match self {
            ArtifactAccess::Directory => None,
            ArtifactAccess::S3 => {
                let objects = directory.join("objects");
                let shown = match purpose {
                    Purpose::BackUp => symlink(kept, objects),
                    Purpose::Restore => show(kept, &objects),
                };
                shown.context("cannot make a directory for a server")?;
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

/// A directory in which another server finds what is in `kept`. In one and the same directory, the temporary files of two
/// servers would have the same names, and a server removes those that it finds when it starts.
fn show(kept: &Path, directory: &Path) -> std::io::Result<()> {
    fs::create_dir(directory)?;
    for entry in fs::read_dir(kept)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(TEMPORARY) {
            symlink(kept.join(&name), directory.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_for_a_restore_leaves_the_temporary_files_of_another_alone() {
        let place = tempfile::tempdir().unwrap();
        let kept = place.path().join("kept");
        fs::create_dir_all(kept.join(BUCKET)).unwrap();
        for file in ["backups/object", ".backups.metadata", ".tmp.0.internal.part"] {
            fs::write(kept.join(file), "content").unwrap();
        }
        let shown = place.path().join("shown");
        show(&kept, &shown).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&shown).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".backups.metadata", "backups"]);
        assert_eq!(fs::read_to_string(shown.join("backups/object")).unwrap(), "content");
    }
}
