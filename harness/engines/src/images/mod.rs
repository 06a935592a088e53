//! The images of containers: official ones if a registry is reachable, otherwise images that the harness builds.
//!
//! An image that the harness builds is made from packages of this machine's package mirrors. Its tag is a hash of its
//! recipe: a changed recipe makes another image.

mod build;
mod image;
mod kind;
mod local;
mod pull;
pub(crate) mod recipe;
mod sidecar;
mod tools_image;

use machine::docker::connect;
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::process::Launcher;
use machine::this_program;
use machine::tool::Tool;

pub use image::Image;
pub use kind::{ImageKind, MainProgram};
pub use sidecar::{SIDECAR, write_scripts};
pub use tools_image::TOOLS;

/// Gets an image: the named one, the official one, or the harness's own, whichever is present. Otherwise it is pulled,
/// or built if it cannot be pulled.
///
/// # Errors
/// [`Error::Environment`] with every cause when it can be neither pulled nor built; [`Error::Interrupted`].
pub fn obtain(
    kind: &ImageKind,
    named: Option<&str>,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<Image> {
    if *kind == SIDECAR {
        let tools = obtain(&TOOLS, None, launcher, observer)?;
        return sidecar::obtain(&connect()?, &tools, launcher, observer);
    }
    let docker = connect()?;
    if let Some(image) = local::find(&docker, kind, named, launcher)? {
        return Ok(image);
    }
    let mut causes = Vec::new();
    if let Some(reference) = named.or(kind.official) {
        match pull::pull(&docker, reference, launcher, observer) {
            Ok(()) => {}
            Err(Error::Environment(cause)) if named.is_none() => {
                observer(Event::Note(format!("{cause}: building it from packages instead")));
                causes.push(cause);
            }
            Err(Error::Environment(cause)) => {
                return Err(Error::Environment(format!(
                    "{cause}, and it is not on this machine: name another image in the scenario, load it \
                     ('docker load'), or give Docker access to its registry"
                )));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(image) = local::find(&docker, kind, named, launcher)? {
        return Ok(image);
    }
    match build::build(&docker, &kind.recipe, launcher, observer) {
        Ok(()) => {}
        Err(Error::Environment(cause)) => {
            causes.push(cause);
            let (name, causes) = (kind.name, causes.join("\n  "));
            return Err(Error::Environment(format!("cannot get the image '{name}':\n  {causes}")));
        }
        Err(error) => return Err(error),
    }
    local::find(&docker, kind, named, launcher)?
        .ok_or_else(|| anyhow::anyhow!("an image that was just built is missing").into())
}

/// What [`obtain`] would do on this machine.
pub enum Stock {
    /// Use this image, which is present. Its versions are those that are known without starting a container.
    Here(Image),
    /// Pull or build it. The text completes the words "it would be".
    Obtainable(String),
}

/// What [`obtain`] would do on this machine. This downloads nothing and uses no network.
///
/// # Errors
/// [`Error::Environment`] when Docker cannot be reached, or when the image can be neither pulled nor built, with what
/// is missing.
pub fn look(kind: &ImageKind, named: Option<&str>) -> Result<Stock> {
    let docker = connect()?;
    if *kind == SIDECAR {
        return look_for_sidecar(&docker);
    }
    if let Some(image) = local::look(&docker, kind, named)? {
        return Ok(Stock::Here(image));
    }
    if let Some(named) = named {
        return Ok(Stock::Obtainable(format!("pulled as {named}")));
    }
    let recipe = &kind.recipe;
    let missing: Vec<String> = recipe.tools().iter().filter_map(|tool| tool.missing()).collect();
    let built = format!("built as {} ('{} images {}')", recipe.reference(), this_program::name(), kind.name);
    match (kind.official, missing.is_empty()) {
        (Some(official), true) => Ok(Stock::Obtainable(format!("pulled as {official}, or {built}"))),
        (None, true) => Ok(Stock::Obtainable(built)),
        (Some(official), false) => {
            Ok(Stock::Obtainable(format!("pulled as {official} (to build it, {})", missing.join("; "))))
        }
        (None, false) => Err(Error::Environment(format!("it cannot be built: {}", missing.join("; ")))),
    }
}

fn look_for_sidecar(docker: &bollard::Docker) -> Result<Stock> {
    let how = match look(&TOOLS, None)? {
        Stock::Here(tools) => match sidecar::look(docker, &tools)? {
            Some(image) => return Ok(Stock::Here(image)),
            None => String::new(),
        },
        Stock::Obtainable(how) => format!(", on the tools image, {how}"),
    };
    Ok(Stock::Obtainable(format!("built as {}{how}", sidecar::REPOSITORY)))
}

/// The commands that are needed to build an image.
pub fn tools(kind: &ImageKind) -> Vec<&'static Tool> {
    kind.recipe.tools()
}
