//! The job that fetches a backup.

use std::path::{Path, PathBuf};

use machine::error::{Error, Result};
use machine::process::{Cancel, Launcher};
use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::destination::{ConfiguredDestination, DestinationChoice, Moved, ObjectName, Operation, registry};
use crate::manifest::{Manifest, is_manifest};

/// The largest manifest that is read, in bytes: that of some two million files.
const MANIFEST_BYTES_MAX: u64 = 512 << 20;

/// Which backup to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one whose moment is the latest.
    Newest,
    /// The one with this manifest.
    Named(ObjectName),
    /// The one with this number, from 0 in the order of their moments.
    Number(usize),
}

/// Fetches a manifest, and the object that it names, and compares the object with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// Where from.
    pub destination: DestinationChoice,
    /// Which backup.
    pub which: Which,
    /// The file that the object becomes, which must not exist.
    pub to: PathBuf,
    /// With which commands are marked.
    pub work_directory: PathBuf,
}

/// A fetched backup. Its object has the content that the manifest says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fetched {
    /// The name of the manifest.
    pub name: ObjectName,
    /// The manifest.
    pub manifest: Manifest,
    /// What fetching moved, the manifest included.
    pub moved: Moved,
}

impl Job for Fetch {
    const NAME: &'static str = "offsite-fetch";
    type Answer = Fetched;

    fn title(&self) -> String {
        format!("download from the destination '{}'", self.destination.name)
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Fetched> {
        let destination = registry::configure(&self.destination)?;
        let launcher = Launcher::new(&self.work_directory, &Cancel::default());
        let mut operation = Operation { launcher: &launcher, report };
        Ok(fetch(&destination, &self.which, &self.to, &mut operation)?)
    }
}

fn fetch(
    destination: &ConfiguredDestination,
    which: &Which,
    to: &Path,
    operation: &mut Operation,
) -> Result<Fetched> {
    let mut moved = Moved::default();
    let name = match which {
        Which::Named(name) => name.clone(),
        Which::Newest | Which::Number(_) => {
            let listing = destination.list(operation)?;
            moved.add(listing.moved);
            let place = destination.place();
            let mut names = listing.objects.into_iter().map(|object| object.name).filter(is_manifest);
            match which {
                Which::Number(number) => names.nth(*number).ok_or_else(|| {
                    Error::Environment(format!(
                        "there is no backup number {number}, counted from 0, at {place}"
                    ))
                })?,
                _ => names.next_back().ok_or_else(|| {
                    Error::Environment(format!("there is no manifest at {place}: no backup"))
                })?,
            }
        }
    };
    let (text, got) = destination.get_range(&name, 0..MANIFEST_BYTES_MAX, operation)?;
    moved.add(got);
    let manifest = Manifest::from_json(&text, name.as_str())?;
    moved.add(destination.get(&manifest.object.name, to, operation)?);
    let what = format!("the object '{}' at {}", manifest.object.name, destination.place());
    let verified = Content::of_file(to).and_then(|found| manifest.object.content.expect(&found, &what));
    if let Err(error) = verified {
        // What does not fit is of no use.
        let _ = std::fs::remove_file(to);
        return Err(error);
    }
    Ok(Fetched { name, manifest, moved })
}
