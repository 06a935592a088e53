//! The settings of a host, and the command that connects to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use machine::error::Error;
use machine::how_to_install::HowToInstall;
use machine::tool::Tool;
use serde::{Deserialize, Serialize};

use crate::destination::name::ObjectName;
use crate::settings::SettingDoc;

/// OpenSSH's client.
pub(crate) static SSH: Tool = Tool {
    command: "ssh",
    version_argument: "-V",
    install: HowToInstall::Packages {
        debian: &["openssh-client"],
        elsewhere: Some(("openssh", "Alpine, Arch")),
    },
};

/// The settings of destinations behind an SSH server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known_hosts_file: Option<PathBuf>,
}

/// The documentation of these settings.
pub(crate) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        name: "host",
        kind: "string",
        default: "required",
        meaning: "name or address of the host, or its alias in ~/.ssh/config, which applies",
    },
    SettingDoc {
        name: "port",
        kind: "integer",
        default: "that of ~/.ssh/config, or 22",
        meaning: "TCP port",
    },
    SettingDoc {
        name: "user",
        kind: "string",
        default: "that of ~/.ssh/config, or this user",
        meaning: "user on the host",
    },
    SettingDoc {
        name: "path",
        kind: "string",
        default: "required",
        meaning: "directory on the host, which must exist; a relative one is in the user's home",
    },
    SettingDoc {
        name: "identity_file",
        kind: "path",
        default: "those of ssh-agent and ~/.ssh",
        meaning: "file with the secret key; it must not have a passphrase, because nothing asks for one",
    },
    SettingDoc {
        name: "known_hosts_file",
        kind: "path",
        default: "~/.ssh/known_hosts",
        meaning: "file with the key of the host; a host that is not in it is rejected",
    },
];

impl Host {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let is_word = |text: &str| {
            let is_odd = |character: char| {
                character.is_whitespace() || character.is_control() || "@'\"\\`$;&|<>()".contains(character)
            };
            !text.is_empty() && !text.starts_with('-') && !text.contains(is_odd)
        };
        if !is_word(&self.host) {
            Err("host must be the name or address of a host".to_owned())
        } else if !self.user.as_deref().is_none_or(is_word) {
            Err("user must be the name of a user".to_owned())
        } else if self.path.is_empty() || self.path.contains(char::is_control) {
            Err("path must be a directory on the host".to_owned())
        } else {
            Ok(())
        }
    }

    /// The place in messages: `sftp://user@host:port/path`.
    pub(crate) fn place(&self, scheme: &str) -> String {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{user}{}{port}{slash}{}", self.host, self.path)
    }

    /// The directory on the host.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a file in the directory.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/'))
    }

    /// The path of an object.
    pub(crate) fn object(&self, name: &ObjectName) -> String {
        self.file(name.as_str())
    }

    /// The name of the host, as an address of rsync has it.
    pub(crate) fn rsync_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// The command and its options, without the host. It never asks for anything, and ends when the server does not
    /// answer for a minute.
    pub(crate) fn ssh_words(&self) -> Vec<String> {
        let mut words: Vec<String> = vec![SSH.command.to_owned()];
        let mut option = |option: &str| words.extend(["-o".to_owned(), option.to_owned()]);
        option("BatchMode=yes");
        option("ConnectTimeout=15");
        option("ServerAliveInterval=15");
        option("ServerAliveCountMax=4");
        option("ClearAllForwardings=yes");
        if let Some(file) = &self.known_hosts_file {
            option(&format!("UserKnownHostsFile=\"{}\"", expanded(file)));
            option("StrictHostKeyChecking=yes");
        }
        if let Some(file) = &self.identity_file {
            option("IdentitiesOnly=yes");
            option(&format!("IdentityFile=\"{}\"", expanded(file)));
        }
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &self.user {
            words.extend(["-l".to_owned(), user.clone()]);
        }
        words
    }

    /// The command that connects to the SFTP server of the host.
    pub(crate) fn sftp_command(&self) -> Command {
        let words = self.ssh_words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["-s", "--", &self.host, "sftp"]);
        command
    }

    /// The error of a connection whose command ended with this output.
    pub(crate) fn disconnected(&self, operation: &str, output: &str) -> Error {
        let causes = [
            ("Host key verification failed", "the host's key is not known: add it to known_hosts_file"),
            (
                "REMOTE HOST IDENTIFICATION HAS CHANGED",
                "the host's key is another one: check known_hosts_file",
            ),
            (
                "Permission denied (",
                "the server accepts none of the keys: check user, identity_file and ssh-agent",
            ),
            ("Could not resolve hostname", "the name of the host is unknown: check host and the network"),
            ("Connection refused", "nothing listens there: check host and port, and whether sshd runs"),
            ("timed out", "no answer: check host, port and the network"),
            ("No route to host", "the network does not reach the host: check the network"),
            ("Network is unreachable", "the network does not reach the host: check the network"),
            (
                "subsystem request failed",
                "the server does not offer SFTP: enable the subsystem 'sftp' in its sshd_config",
            ),
            ("No space left on device", "the destination is full: remove old backups"),
            ("command not found", "the host lacks the command: install it there"),
        ];
        let known = causes.iter().find(|(sign, _)| output.contains(sign)).map(|(_, cause)| *cause);
        let said = match output.trim() {
            "" => "without a message".to_owned(),
            said => said.lines().map(str::trim).collect::<Vec<_>>().join(" "),
        };
        Error::Environment(match known {
            Some(cause) => format!("cannot {operation}: {cause} ({said})"),
            None => format!("cannot {operation}: the connection ended: {said}"),
        })
    }
}

/// A path as a value of an option of ssh, in which `%` begins a variable.
fn expanded(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}
