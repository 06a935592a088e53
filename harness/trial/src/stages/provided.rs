//! The places that the harness itself provides for a trial, where the scenario names no place of the user's own.

use std::path::Path;

use machine::error::{Result, unknown};
use machine::file_system::{FileSystem, TemporaryFileSystem};
use machine::process::Launcher;
use offsite::settings::Settings;

/// The file system of a directory that the harness provides.
const FILE_SYSTEM: FileSystem = FileSystem::Ext4;
/// The directory of the trial in which a provided place keeps its objects.
const PLACE: &str = "elsewhere";

/// A place that the harness can provide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// A separate file system on a loop device.
    Directory,
}

/// A place that was provided. It is gone when this is dropped, with all objects.
pub struct Provided {
    /// The settings of the destination that say where it is.
    pub settings: Settings,
    _place: Box<dyn Send>,
}

impl Server {
    /// The place for this destination that the settings ask for, which then say so no longer; `None` when they name a
    /// place of the user's own.
    ///
    /// # Errors
    /// An unknown server.
    pub(super) fn take(destination: &str, settings: &mut Settings) -> Result<Option<Server>, String> {
        let (own, servers): (&str, &[(&str, Server)]) = match destination {
            "directory" => ("path", &[("", Server::Directory)]),
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
        match self {
            Server::Directory => path(Path::new("/")),
        }
    }

    /// What is missing on this machine to provide it, and how to get it.
    pub(super) fn missing(self) -> Option<String> {
        match self {
            Server::Directory => FILE_SYSTEM.missing(),
        }
    }

    /// Provides the place, for objects of together `bytes` at most.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] with the cause.
    pub fn provide(self, launcher: &Launcher, bytes: u64) -> Result<Provided> {
        match self {
            Server::Directory => {
                let bytes = FILE_SYSTEM.disk_bytes(bytes);
                let made = TemporaryFileSystem::make(FILE_SYSTEM, launcher, PLACE, bytes)?;
                Ok(Provided { settings: path(made.point()), _place: Box::new(made) })
            }
        }
    }
}

fn path(path: &Path) -> Settings {
    let path = toml::Value::String(path.display().to_string());
    Settings::from_iter([("path".to_owned(), path)])
}
