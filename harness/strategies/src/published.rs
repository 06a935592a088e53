//! Shared code of strategies that publish each backup at a destination as soon as it is made, and restore from there alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use machine::error::Error;
use machine::process::Launcher;
use machine::removal;
use offsite::destination::DestinationChoice;
use offsite::jobs::{Collect, Fetch, Pack, Publish, Ship, Unpack, Which};
use offsite::manifest::Backup;
use serde_json::json;

use crate::artifact_server::{ArtifactAccess, ArtifactServer, Purpose};
use crate::contract::{Card, StrategyFailure};
use crate::files;
use crate::watch::Watch;

/// The meaning of the setting `destination`, for cards.
pub const DESTINATION: (&str, &str) = (
    "destination",
    "where backups go: \"directory\" leaves them where they are made; \"s3\" and \"sftp\" publish each one as soon as it is \
     made, through a server that is started for the trial and keeps it in the artifact, and restore from there alone",
);

/// How often it is looked for what was appended to shipped files.
const SHIP_INTERVAL: Duration = Duration::from_secs(1);
/// Where the server keeps its files in the artifact.
const KEPT: &str = "published";

/// A place for backups that have left the machine, behind a server that ends with it.
pub struct PublishedPlace {
    destination: DestinationChoice,
    /// The directory of the trial for the server's files, and for files on their way.
    directory: PathBuf,
    work_directory: PathBuf,
    _server: ArtifactServer,
}

impl PublishedPlace {
    /// Starts the server; `None` when backups stay where they are made.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be started.
    pub fn open(
        access: ArtifactAccess,
        purpose: Purpose,
        launcher: &Launcher,
        artifact: &Path,
    ) -> Result<Option<PublishedPlace>, Error> {
        if !access.is_remote() {
            return Ok(None);
        }
        let name = match purpose {
            Purpose::BackUp => "publish",
            Purpose::Restore => "fetch",
        };
        let directory = files::empty_directory(launcher, name)?;
        let kept = artifact.join(KEPT);
        let server = access.serve(purpose, launcher, &directory, &kept)?;
        Ok(server.map(|server| PublishedPlace {
            destination: server.destination(&kept),
            directory,
            work_directory: launcher.work_directory().to_owned(),
            _server: server,
        }))
    }

    /// The job that ships what is appended to the files of a directory, so that they can be collected.
    pub fn ship(&self, directory: &Path) -> Ship {
        Ship {
            destination: self.destination.clone(),
            directory: directory.to_owned(),
            interval: SHIP_INTERVAL,
            work_directory: self.work_directory.clone(),
        }
    }

    /// Fetches all files that were shipped into `to`, which must not exist.
    ///
    /// # Errors
    /// Why they are not there.
    pub fn collect(&self, watch: &mut Watch, to: &Path) -> Result<(), StrategyFailure> {
        watch.begin_part(vec![], None);
        watch.work(&Collect {
            destination: self.destination.clone(),
            directory: to.to_owned(),
            work_directory: self.work_directory.clone(),
        })?;
        Ok(())
    }

    /// Publishes a directory as one backup.
    ///
    /// # Errors
    /// Why it is not published.
    pub fn publish(
        &self,
        watch: &mut Watch,
        made: &Path,
        card: &Card,
        promise: &str,
    ) -> Result<(), StrategyFailure> {
        let tar = self.directory.join("backup.tar");
        watch.begin_part(vec![self.directory.clone()], None);
        let packed = watch.work(&Pack { directory: made.to_owned(), tar: tar.clone() })?;
        watch.begin_part(vec![], None);
        watch.work(&Publish {
            destination: self.destination.clone(),
            file: tar.clone(),
            content: packed.content,
            packed,
            transforms: vec![],
            backup: Backup {
                source: json!({ "directory": made.file_name().unwrap_or_default().to_string_lossy() }),
                strategy: card.name.into(),
                promise: promise.into(),
                versions: [].into(),
                moment: Timestamp::now(),
            },
            work_directory: self.work_directory.clone(),
        })?;
        remove_file(&tar)
    }

    /// Fetches the backup with this number, from 0 in the order in which they were published, into `to`, which must be empty
    /// or not exist.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn fetch(&self, watch: &mut Watch, number: usize, to: &Path) -> Result<(), StrategyFailure> {
        let tar = self.directory.join("backup.tar");
        watch.begin_part(vec![], None);
        let fetched = watch.work(&Fetch {
            destination: self.destination.clone(),
            which: Which::Number(number),
            to: tar.clone(),
            work_directory: self.work_directory.clone(),
        })?;
        watch.begin_part(vec![], None);
        watch.work(&Unpack { tar: tar.clone(), directory: to.to_owned(), files: fetched.manifest.files })?;
        remove_file(&tar)
    }
}

fn remove_file(file: &Path) -> Result<(), StrategyFailure> {
    removal::remove_file(file).map_err(|left| Error::Environment(left.to_string()).into())
}

/// The files at the published place of an artifact, in the order of their names. Hidden ones are those of the server.
pub fn files_of(artifact: &Path) -> Vec<PathBuf> {
    let mut files = files::visible(&artifact.join(KEPT));
    files.sort();
    files
}
