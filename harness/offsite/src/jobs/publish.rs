//! The job that publishes a backup.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use machine::error::{Error, Result};
use machine::process::{Cancel, Launcher};
use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use crate::content::{Content, ContentHasher};
use crate::destination::{
    ConfiguredDestination, DestinationChoice, Moved, ObjectName, Operation, Upload, registry,
};
use crate::manifest::{self, Backup, Manifest, Names, Object};
use crate::pack::Packed;
use crate::transform::{self, TransformChoice};

/// Uploads a file and then its manifest. Only the manifest makes it a backup, so a half publication is none. When it is
/// repeated, what is already there is not uploaded again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publish {
    /// Where to.
    pub destination: DestinationChoice,
    /// The file, after all transforms.
    pub file: PathBuf,
    /// Its content.
    pub content: Content,
    /// What was packed.
    pub packed: Packed,
    /// The transforms, in the order in which they were applied.
    pub transforms: Vec<TransformChoice>,
    /// What it is a backup of.
    pub backup: Backup,
    /// With which commands are marked, and where temporary files are.
    pub work_directory: PathBuf,
}

/// A published backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The name of the object.
    pub object: ObjectName,
    /// The name of the manifest.
    pub manifest: ObjectName,
    /// What uploading moved, the manifest included.
    pub moved: Moved,
}

impl Job for Publish {
    const NAME: &'static str = "offsite-publish";
    type Answer = Published;

    fn title(&self) -> String {
        format!("upload to the destination '{}'", self.destination.name)
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Published> {
        let destination = registry::configure(&self.destination)?;
        let launcher = Launcher::new(&self.work_directory, &Cancel::default());
        let mut operation = Operation { launcher: &launcher, report };
        Ok(self.publish(&destination, &mut operation)?)
    }
}

impl Publish {
    fn publish(&self, destination: &ConfiguredDestination, operation: &mut Operation) -> Result<Published> {
        let names = self.names()?;
        let listing = destination.list(operation)?;
        let mut moved = listing.moved;
        if listing.named(&names.manifest).is_some() {
            let place = destination.place();
            return Err(Error::Environment(format!("the backup '{}' is already at {place}", names.manifest)));
        }
        // The name contains the digest: an object of this name and size is from an interrupted publication.
        let is_there = listing.named(&names.object).is_some_and(|there| there.bytes == self.content.bytes);
        if !is_there {
            let upload = Upload { file: &self.file, name: &names.object, content: &self.content };
            moved.add(destination.put(&upload, operation)?);
        }
        moved.add(self.put_manifest(destination, &names, operation)?);
        Ok(Published { object: names.object, manifest: names.manifest, moved })
    }

    fn names(&self) -> Result<Names> {
        let mut suffixes = Vec::new();
        for choice in &self.transforms {
            suffixes.push(transform::registry::named(&choice.name)?.suffix);
        }
        Ok(manifest::names(self.backup.moment, &self.content, &suffixes))
    }

    fn put_manifest(
        &self,
        destination: &ConfiguredDestination,
        names: &Names,
        operation: &mut Operation,
    ) -> Result<Moved> {
        let manifest = Manifest {
            schema: manifest::SCHEMA.to_owned(),
            version: manifest::VERSION,
            backup: self.backup.clone(),
            transforms: self.transforms.clone(),
            object: Object { name: names.object.clone(), content: self.content },
            packed: self.packed.content,
            files: self.packed.files.clone(),
        };
        let text = manifest.to_json();
        let mut hasher = ContentHasher::default();
        hasher.add(&text);
        let mut file = tempfile::NamedTempFile::new_in(&self.work_directory)
            .context("cannot create a file for the manifest")?;
        file.write_all(&text).context("cannot write the manifest")?;
        let upload = Upload { file: file.path(), name: &names.manifest, content: &hasher.finish() };
        // Its progress would begin again.
        let mut silent = Operation { launcher: operation.launcher, report: &mut |_| () };
        destination.put(&upload, &mut silent)
    }
}
