//! The places that the harness itself provides for a trial, where the scenario names no place of the user's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use machine::error::{Error, Result, unknown};
use machine::file_system::{FileSystem, TemporaryFileSystem};
use machine::process::{Account, Launcher};
use machine::tool::Tool;
use offsite::destination::{self, DestinationChoice};
use offsite::server::{Line, LineQuality, Moto, S3Server, SSHD, Sshd};
use offsite::settings::Settings;

/// The file system of a directory that the harness provides.
const FILE_SYSTEM: FileSystem = FileSystem::Ext4;
/// The directory of the trial that plays the other machine.
const PLACE: &str = "elsewhere";
const BUCKET: &str = "backups";
/// What a server uses is not measured.
const ACCOUNT: Account = Account::Preparation;

/// A place that the harness can provide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// A separate file system on a loop device.
    Directory,
    /// The S3 server of the library `s3s`.
    S3s,
    /// The S3 server of `moto`, which has nothing in common with the other one.
    Moto,
    /// OpenSSH's server.
    Sshd,
}

/// A place that was provided. It is gone when this is dropped, with all objects.
pub struct Provided {
    /// The settings of the destination that say where it is.
    pub settings: Settings,
    /// The line to it, if it has one that can be cut.
    pub line: Option<Arc<Line>>,
    _place: Box<dyn Send>,
}

impl Provided {
    fn new(choice: DestinationChoice, place: impl Send + 'static) -> Provided {
        Provided { settings: choice.settings, line: None, _place: Box::new(place) }
    }

    /// Puts a line in front of the server. The settings then name the line.
    ///
    /// # Errors
    /// [`Error::Bug`] for a place that is no server.
    fn through_a_line(mut self, quality: LineQuality) -> Result<Provided> {
        let is_no_server = || Error::Bug(anyhow::anyhow!("a place without a port has no line"));
        let line_to = |port: Option<u16>| {
            Line::of(quality, SocketAddr::from((Ipv4Addr::LOCALHOST, port.ok_or_else(is_no_server)?)))
        };
        let line = if let Some(endpoint) = self.settings.get_mut("endpoint") {
            let address = endpoint.as_str().and_then(|url| url.rsplit_once(':'));
            let line = line_to(address.and_then(|(_, port)| port.parse().ok()))?;
            *endpoint = format!("http://127.0.0.1:{}", line.port()).into();
            line
        } else {
            let port = self.settings.get_mut("port").ok_or_else(is_no_server)?;
            let line = line_to(port.as_integer().and_then(|port| port.try_into().ok()))?;
            *port = i64::from(line.port()).into();
            line
        };
        self.line = Some(Arc::new(line));
        Ok(self)
    }
}

impl Server {
    /// The place for this destination that the settings ask for, which then say so no longer; `None` when they name a
    /// place of the user's own.
    ///
    /// # Errors
    /// An unknown server.
    pub(super) fn take(destination: &str, settings: &mut Settings) -> Result<Option<Server>, String> {
        let (own, servers): (&str, &[(&str, Server)]) = match destination {
            "directory" => ("path", &[("loop", Server::Directory)]),
            "s3" => ("bucket", &[("s3s", Server::S3s), ("moto", Server::Moto)]),
            "sftp" | "rsync" => ("host", &[("sshd", Server::Sshd)]),
            _ => return Ok(None),
        };
        if settings.contains_key(own) {
            return Ok(None);
        }
        match settings.remove("server") {
            None => Ok(servers.first().map(|(_, server)| *server)),
            Some(toml::Value::String(name)) => {
                let known: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
                let found = servers.iter().find(|(known, _)| *known == name);
                found.map(|(_, server)| Some(*server)).ok_or_else(|| unknown("server", &name, &known))
            }
            Some(other) => Err(format!("server is {other}: it must be the name of a server")),
        }
    }

    /// Settings like those of a provided place, to check the others.
    pub(super) fn example(self) -> Settings {
        let text = |name: &str, value: &str| (name.to_owned(), toml::Value::from(value));
        match self {
            Server::Directory => path(Path::new("/")),
            Server::S3s | Server::Moto => Settings::from_iter([text("bucket", BUCKET)]),
            Server::Sshd => Settings::from_iter([text("host", "127.0.0.1"), text("path", "/")]),
        }
    }

    /// Whether it is reached through a network.
    pub fn is_remote(self) -> bool {
        self != Server::Directory
    }

    /// What is missing on this machine to provide it, and how to get it.
    pub(super) fn missing(self) -> Option<String> {
        match self {
            Server::Directory => FILE_SYSTEM.missing(),
            Server::S3s => None,
            Server::Moto => Moto::missing(),
            Server::Sshd => Sshd::missing(),
        }
    }

    /// Provides the place for this destination, for objects of together `bytes` at most. What it needs from a package
    /// registry is kept in `cache`. With a line, a server is reached through a line of this quality, which can be cut.
    ///
    /// # Errors
    /// [`Error::Environment`] with the cause.
    pub fn provide(
        self,
        destination: &str,
        launcher: &Launcher,
        cache: &Path,
        bytes: u64,
        line: Option<LineQuality>,
    ) -> Result<Provided> {
        let provided = self.place(destination, launcher, cache, bytes)?;
        match line {
            Some(quality) => provided.through_a_line(quality),
            None => Ok(provided),
        }
    }

    fn place(self, destination: &str, launcher: &Launcher, cache: &Path, bytes: u64) -> Result<Provided> {
        if self == Server::Directory {
            let made =
                TemporaryFileSystem::make(FILE_SYSTEM, launcher, PLACE, FILE_SYSTEM.disk_bytes(bytes))?;
            return Ok(Provided { settings: path(made.point()), line: None, _place: Box::new(made) });
        }
        let directory = launcher.work_directory().join(PLACE);
        std::fs::create_dir(&directory).context("cannot make a directory for a server")?;
        Ok(match self {
            Server::S3s => {
                let server = S3Server::start(launcher, ACCOUNT, &directory, &[BUCKET])?;
                Provided::new(server.destination(BUCKET), server)
            }
            Server::Moto => {
                let server = Moto::start(launcher, ACCOUNT, cache, &directory, &[BUCKET])?;
                Provided::new(server.destination(BUCKET), server)
            }
            Server::Sshd | Server::Directory => {
                let server = Sshd::start(launcher, ACCOUNT, &directory)?;
                let objects = directory.join("objects");
                std::fs::create_dir(&objects).context("cannot make a directory for a server")?;
                Provided::new(server.destination(destination, &objects), server)
            }
        })
    }
}

/// The line that the settings of a destination ask for, which then say so no longer.
///
/// # Errors
/// A value that is not a number, and a line to a place that the harness does not provide behind a network.
pub(super) fn take_line(server: Option<Server>, settings: &mut Settings) -> Result<LineQuality, String> {
    let mut number = |name: &str| match settings.remove(name) {
        None => Ok(0),
        Some(_) if !server.is_some_and(Server::is_remote) => {
            Err(format!("{name} is for a server that the trial itself starts: remove the setting"))
        }
        Some(toml::Value::Integer(value)) if value >= 0 => Ok(value as u64),
        Some(other) => Err(format!("{name} is {other}: it must be a whole number")),
    };
    Ok(LineQuality {
        bytes_per_second: number("line_bytes_per_second")?,
        round_trip: Duration::from_millis(number("line_round_trip_ms")?),
    })
}

/// The commands that all destinations need, and the servers that the harness provides for them.
pub fn tools() -> Vec<&'static Tool> {
    let mut tools = vec![&SSHD];
    for entry in destination::registry::all() {
        let server = Server::take(entry.name, &mut Settings::new()).ok().flatten();
        let configured = server.and_then(|server| entry.configure(&server.example()).ok());
        tools.extend(configured.iter().flat_map(|destination| destination.tools()).copied());
    }
    tools
}

fn path(path: &Path) -> Settings {
    let path = toml::Value::String(path.display().to_string());
    Settings::from_iter([("path".to_owned(), path)])
}
