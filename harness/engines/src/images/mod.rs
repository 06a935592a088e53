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

use machine::docker::connect;
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::process::Launcher;
use machine::program;
use machine::tool::Tool;

pub use recipe::Kind;
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

/// What [`obtain`] would do on this machine.
pub enum Stock {
    /// Take this one, which is here. Its versions are those that need no container to be asked.
    Here(Image),
    /// Get it, in the way that completes the words "it would be".
    Obtainable(String),
}

/// What [`obtain`] would do on this machine. Nothing is got, and no network is asked.
///
/// # Errors
/// [`Error::Environment`] when Docker cannot be asked, or when there is no way to the image, with what is missing.
pub fn look(kind: Kind, named: Option<&str>) -> Result<Stock> {
    let docker = connect()?;
    if kind == Kind::Sidecar {
        return look_for_sidecar(&docker);
    }
    if let Some(image) = local::look(&docker, kind, named)? {
        return Ok(Stock::Here(image));
    }
    if let Some(named) = named {
        return Ok(Stock::Obtainable(format!("pulled as {named}")));
    }
    let recipe = Recipe::of(kind);
    let missing: Vec<String> = recipe.tools().iter().filter_map(|tool| tool.missing()).collect();
    let built = format!("built as {} ('{} images {}')", recipe.reference(), program::name(), kind.name());
    match (kind.official(), missing.is_empty()) {
        (Some(official), true) => Ok(Stock::Obtainable(format!("pulled as {official}, or {built}"))),
        (None, true) => Ok(Stock::Obtainable(built)),
        (Some(official), false) => {
            Ok(Stock::Obtainable(format!("pulled as {official} (to build it, {})", missing.join("; "))))
        }
        (None, false) => Err(Error::Environment(format!("it cannot be built: {}", missing.join("; ")))),
    }
}

fn look_for_sidecar(docker: &bollard::Docker) -> Result<Stock> {
    let how = match look(Kind::Tools, None)? {
        Stock::Here(tools) => match sidecar::look(docker, &tools)? {
            Some(image) => return Ok(Stock::Here(image)),
            None => String::new(),
        },
        Stock::Obtainable(how) => format!(", on the tools image, {how}"),
    };
    Ok(Stock::Obtainable(format!("built as {}{how}", sidecar::REPOSITORY)))
}

/// The commands that building an image takes.
pub fn tools(kind: Kind) -> Vec<&'static Tool> {
    Recipe::of(kind).tools()
}
