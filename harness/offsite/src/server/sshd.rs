//! OpenSSH's server with a configuration, a host key and a user key of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::how_to_install::HowToInstall;
use machine::process::{Account, Group, Launcher};
use machine::tool::Tool;
use nix::unistd::{User, geteuid};

use super::start::{free_port, start};
use crate::content::cannot;
use crate::destination::DestinationChoice;

/// The server. It must be started by its path, because it starts itself again.
pub static SSHD: Tool = Tool {
    command: "/usr/sbin/sshd",
    version_argument: "-V",
    install: HowToInstall::Packages {
        debian: &["openssh-server"],
        elsewhere: Some(("openssh", "Alpine, Arch")),
    },
};

/// Makes keys.
static KEYGEN: Tool = Tool {
    command: "ssh-keygen",
    version_argument: "-?",
    install: HowToInstall::Packages {
        debian: &["openssh-client"],
        elsewhere: Some(("openssh", "Alpine, Arch")),
    },
};

/// A running `sshd`, which only the user who started it can log in to, with a key.
pub struct Sshd {
    port: u16,
    user: String,
    identity_file: PathBuf,
    known_hosts_file: PathBuf,
    _group: Group,
}

impl Sshd {
    /// What is missing on this machine to run it, and how to get it.
    pub fn missing() -> Option<String> {
        let path = Path::new(SSHD.command);
        if !path.is_file() {
            return Some(format!("there is no {}: {}", SSHD.command, SSHD.install));
        }
        KEYGEN
            .path()
            .is_none()
            .then(|| format!("the command 'ssh-keygen' is not on PATH: {}", KEYGEN.install))
    }

    /// Starts a server on a free port of 127.0.0.1, with its files in `directory`.
    ///
    /// # Errors
    /// [`Error::Environment`] when it is not installed or cannot be started.
    pub fn start(launcher: &Launcher, account: Account, directory: &Path) -> Result<Sshd> {
        if let Some(missing) = Sshd::missing() {
            return Err(Error::Environment(format!("sshd cannot be run: {missing}")));
        }
        let user = User::from_uid(geteuid()).ok().flatten().context("this user has no name")?.name;
        let (host_key, identity_file) = (directory.join("host_key"), directory.join("identity"));
        make_key(launcher, &host_key)?;
        make_key(launcher, &identity_file)?;
        let port = free_port()?;
        let write = |name: &str, text: String| {
            let file = directory.join(name);
            fs::write(&file, text).map_err(|error| cannot("write", &file, &error)).map(|()| file)
        };
        let authorized_keys = write("authorized_keys", public_key(&identity_file)?)?;
        let known_hosts_file =
            // A line to it has another port.
            write("known_hosts", format!("[127.0.0.1]:* {}", public_key(&host_key)?))?;
        let config = write("sshd_config", configuration(port, &host_key, &authorized_keys))?;
        if geteuid().is_root() {
            // The directory into which it confines its unprivileged part.
            fs::create_dir_all("/run/sshd")
                .map_err(|error| cannot("create", Path::new("/run/sshd"), &error))?;
        }
        let mut command = Command::new(SSHD.command);
        command.args(["-D", "-e", "-f"]).arg(config);
        let group = start(launcher, account, command, port, &directory.join("sshd.log"))?;
        Ok(Sshd { port, user, identity_file, known_hosts_file, _group: group })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user who can log in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's private key.
    pub fn identity_file(&self) -> &Path {
        &self.identity_file
    }

    /// The destination `sftp` or `rsync` with a directory of this machine behind this server.
    pub fn destination(&self, name: &str, path: &Path) -> DestinationChoice {
        let text = |path: &Path| path.display().to_string();
        let values = [
            ("host", "127.0.0.1".into()),
            ("port", i64::from(self.port).into()),
            ("user", self.user.clone().into()),
            ("path", text(path).into()),
            ("identity_file", text(&self.identity_file).into()),
            ("known_hosts_file", text(&self.known_hosts_file).into()),
        ];
        let settings =
            values.map(|(name, value): (&str, toml::Value)| (name.to_owned(), value)).into_iter().collect();
        DestinationChoice { name: name.to_owned(), settings }
    }
}

fn configuration(port: u16, host_key: &Path, authorized_keys: &Path) -> String {
    // Paths in quotes may contain spaces.
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey \"{}\"\nAuthorizedKeysFile \"{}\"\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PubkeyAuthentication yes\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n\
         UseDNS no\nMaxStartups 100\n\
         KexAlgorithms curve25519-sha256\n",
        host_key.display(),
        authorized_keys.display()
    )
}

/// Makes a key pair; an existing one is kept.
fn make_key(launcher: &Launcher, file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut command = Command::new(KEYGEN.command);
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "backup-drill", "-f"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    launcher.run(Account::Preparation, command)
}

fn public_key(file: &Path) -> Result<String> {
    let file = PathBuf::from(format!("{}.pub", file.display()));
    fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))
}
