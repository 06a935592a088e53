//! What containers are made from: official images where there is a registry, our own where there is none.
//!
//! An image of our own is made from packages of this machine's own package mirrors, and is named after what it is
//! made of: a recipe that changes makes another image.

mod build;
mod local;
mod pull;
mod recipe;
mod sidecar;

use std::collections::BTreeMap;

pub use recipe::Kind;

use crate::docker::connect;
use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::process::Launcher;
use recipe::Recipe;

/// An image that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is called.
    pub reference: String,
    /// What it is, for the record: `sha256:` and the digest of its content.
    pub id: String,
    /// Version of each program in it that matters, as the program tells it; empty where nobody knows.
    pub versions: BTreeMap<String, String>,
}

impl Image {
    /// Version of the program that the image is there for; `None` where nobody knows, and for the tools.
    pub fn version(&self, kind: Kind) -> Option<&str> {
        self.versions.get(kind.program()?).map(String::as_str)
    }
}

/// Gets an image: the one named, or the official one, or our own, whichever is here; otherwise it is pulled, and
/// what cannot be pulled is built.
///
/// # Errors
/// [`Error::Environment`] with every cause when there is no way to it; [`Error::Interrupted`].
pub fn obtain(kind: Kind, named: Option<&str>, launcher: &Launcher, observer: Observer<'_>) -> Result<Image> {
    if kind == Kind::Sidecar {
        let tools = obtain(Kind::Tools, None, launcher, observer)?;
        return sidecar::obtain(&connect()?, &tools, launcher, observer);
    }
    let docker = connect()?;
    if let Some(image) = local::find(&docker, kind, named, launcher)? {
        return Ok(image);
    }
    let mut causes = Vec::new();
    if let Some(reference) = named.or(kind.official()) {
        match pull::pull(&docker, reference, launcher, observer) {
            Ok(()) => {}
            Err(Error::Environment(cause)) if named.is_none() => {
                observer(Event::Note(format!("{cause}: building one from packages instead")));
                causes.push(cause);
            }
            Err(Error::Environment(cause)) => {
                return Err(Error::Environment(format!(
                    "{cause}, and it is not on this machine: name another image in the scenario, load it \
                     ('docker load'), or let Docker reach its registry"
                )));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(image) = local::find(&docker, kind, named, launcher)? {
        return Ok(image);
    }
    match build::build(&docker, &Recipe::of(kind), launcher, observer) {
        Ok(()) => {}
        Err(Error::Environment(cause)) => {
            causes.push(cause);
            let (name, causes) = (kind.name(), causes.join("\n  "));
            return Err(Error::Environment(format!("there is no image '{name}':\n  {causes}")));
        }
        Err(error) => return Err(error),
    }
    local::find(&docker, kind, named, launcher)?
        .ok_or_else(|| anyhow::anyhow!("an image that was just built is not there").into())
}

/// What [`obtain`] would find on this machine, without getting anything; the versions are those that need no
/// container to be asked.
///
/// # Errors
/// [`Error::Environment`] when Docker cannot be asked.
pub fn here(kind: Kind) -> Result<Option<Image>> {
    let docker = connect()?;
    match local::look(&docker, kind, None)? {
        Some(tools) if kind == Kind::Sidecar => sidecar::look(&docker, &tools),
        found => Ok(found),
    }
}

/// Reference of our own image of this kind, as it is built now; without its tag where that follows from another image.
pub fn own_reference(kind: Kind) -> String {
    if kind == Kind::Sidecar { sidecar::REPOSITORY.to_owned() } else { Recipe::of(kind).reference() }
}

/// What is missing to build an image on this machine, and how to get it.
pub fn missing_to_build(kind: Kind) -> Vec<String> {
    Recipe::of(kind).tools().iter().filter_map(|tool| tool.missing()).collect()
}
