//! The job that collects shipped files.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
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

/// How far the files are collected.
#[derive(Default)]
struct Collected {
    file: String,
    bytes: u64,
    has_ended: bool,
}

impl Collect {
    fn collect(&self, destination: &ConfiguredDestination, operation: &mut Operation) -> Result<u64> {
        fs::create_dir(&self.directory).map_err(|error| cannot("create", &self.directory, &error))?;
        let parts = destination.list(operation)?.objects.into_iter();
        let parts: Vec<_> = parts.filter_map(|object| Some((Part::of_name(&object.name)?, object))).collect();
        let all: u64 = parts.iter().map(|(_, object)| object.bytes).sum();
        let missing = |what: String| {
            let place = destination.place();
            Error::Environment(format!("{what} is missing at {place}: use another backup"))
        };
        let (mut moved, mut total, mut current) = (0, 0, Collected::default());
        for (part, object) in &parts {
            if current.file != part.file {
                if !current.file.is_empty() && !current.has_ended {
                    return Err(missing(format!(
                        "the end of '{}' from byte {}",
                        current.file, current.bytes
                    )));
                }
                current = Collected { file: part.file.clone(), ..Collected::default() };
            }
            if part.offset > current.bytes {
                let Collected { file, bytes, .. } = current;
                return Err(missing(format!(
                    "the part of '{file}' from byte {bytes} to byte {}",
                    part.offset
                )));
            }
            // Its progress is that of one part.
            let mut silent = Operation { launcher: operation.launcher, report: &mut |_| () };
            let known = current.bytes - part.offset;
            self.append(destination, &object.name, part, known, &mut silent)?;
            let new = object.bytes.saturating_sub(known);
            current.bytes += new;
            current.has_ended |= object.bytes == 0;
            total += new;
            moved += object.bytes;
            (operation.report)(Progress::done(moved as f64 / all.max(1) as f64));
        }
        Ok(total)
    }

    /// Appends what a part has after its first `known` bytes, which an earlier part had as well.
    fn append(
        &self,
        destination: &ConfiguredDestination,
        name: &ObjectName,
        part: &Part,
        known: u64,
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
        append(&fetched, known, &self.directory.join(&part.file))
    }
}

/// Appends what a file has after this offset to another one.
fn append(from: &Path, offset: u64, to: &Path) -> Result<()> {
    let source = File::open(from).and_then(|mut source| source.seek(SeekFrom::Start(offset)).map(|_| source));
    let mut source = source.map_err(|error| cannot("read", from, &error))?;
    let target = File::options().create(true).append(true).open(to);
    target
        .and_then(|mut target| io::copy(&mut source, &mut target))
        .map_err(|error| cannot("write", to, &error))?;
    Ok(())
}
