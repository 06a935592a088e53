//! The job that collects shipped files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use machine::error::{Error, Result};
use machine::process::{Cancel, Launcher};
use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use super::ship::Part;
use crate::content::{Content, cannot};
use crate::destination::{ConfiguredDestination, DestinationChoice, ObjectName, Operation, registry};

/// Fetches all parts of files that [`Ship`](super::Ship) has uploaded, and joins them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Collect {
    /// Where from.
    pub destination: DestinationChoice,
    /// The directory for the files, which must not exist.
    pub directory: PathBuf,
    /// With which commands are marked, and where temporary files are.
    pub work_directory: PathBuf,
}

impl Job for Collect {
    const NAME: &'static str = "offsite-collect";
    /// Bytes of all files.
    type Answer = u64;

    fn title(&self) -> String {
        format!("download of shipped files from the destination '{}'", self.destination.name)
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<u64> {
        let destination = registry::configure(&self.destination)?;
        let launcher = Launcher::new(&self.work_directory, &Cancel::default());
        Ok(self.collect(&destination, &mut Operation { launcher: &launcher, report })?)
    }
}

impl Collect {
    fn collect(&self, destination: &ConfiguredDestination, operation: &mut Operation) -> Result<u64> {
        let cannot_create = |error| cannot("create", &self.directory, &error);
        fs::create_dir(&self.directory).map_err(cannot_create)?;
        let parts: Vec<(ObjectName, Part, u64)> = destination
            .list(operation)?
            .objects
            .into_iter()
            .filter_map(|object| Some((object.name.clone(), Part::of_name(&object.name)?, object.bytes)))
            .collect();
        let total: u64 = parts.iter().map(|(.., bytes)| bytes).sum();
        let (mut done, mut current) = (0, (String::new(), 0));
        for (name, part, bytes) in &parts {
            if current.0 != part.file {
                current = (part.file.clone(), 0);
            }
            if part.offset != current.1 {
                return Err(Error::Environment(format!(
                    "the part of '{}' from byte {} to byte {} is missing at {}: what comes after it is of no use",
                    part.file,
                    current.1,
                    part.offset,
                    destination.place()
                )));
            }
            // Its progress is that of one part.
            let mut silent = Operation { launcher: operation.launcher, report: &mut |_| () };
            self.append(destination, name, part, &mut silent)?;
            current.1 += bytes;
            done += bytes;
            (operation.report)(Progress::done(done as f64 / total as f64));
        }
        Ok(total)
    }

    fn append(
        &self,
        destination: &ConfiguredDestination,
        name: &ObjectName,
        part: &Part,
        operation: &mut Operation,
    ) -> Result<()> {
        let directory = tempfile::tempdir_in(&self.work_directory)
            .map_err(|error| cannot("create a directory in", &self.work_directory, &error))?;
        let fetched = directory.path().join("part");
        destination.get(name, &fetched, operation)?;
        let found = Content::of_file(&fetched)?.blake3.short();
        if found != part.digest {
            let place = destination.place();
            return Err(Error::Environment(format!(
                "the object '{name}' at {place} has changed: its BLAKE3 begins with {found}; use another backup"
            )));
        }
        append(&fetched, &self.directory.join(&part.file))
    }
}

fn append(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|error| cannot("read", from, &error))?;
    let target = File::options().create(true).append(true).open(to);
    target
        .and_then(|mut target| io::copy(&mut source, &mut target))
        .map_err(|error| cannot("write", to, &error))?;
    Ok(())
}
