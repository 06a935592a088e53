//! Images that are present on this machine.

use std::collections::BTreeMap;

use bollard::Docker;
use machine::container::{Container, Network, Spec};
use machine::docker::{block_on, failed, is_absent};
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};

use super::build;
use super::image::Image;
use super::kind::{ImageKind, MainProgram};

/// As [`look`], and starts the programs of images without version labels to get their versions.
pub(super) fn find(
    docker: &Docker,
    kind: &ImageKind,
    named: Option<&str>,
    launcher: &Launcher,
) -> Result<Option<Image>> {
    let Some(mut image) = look(docker, kind, named)? else { return Ok(None) };
    if let Some(program) = kind.program.as_ref().filter(|_| image.versions.is_empty())
        && let Some(argument) = program.version_argument
    {
        image.versions.insert(program.name.to_owned(), version_of(program, argument, &image, launcher)?);
    }
    Ok(Some(image))
}

/// The named image, or else the official one, or else the one that the harness builds.
pub(super) fn look(docker: &Docker, kind: &ImageKind, named: Option<&str>) -> Result<Option<Image>> {
    if let Some(named) = named {
        return inspect(docker, named);
    }
    if let Some(official) = kind.official
        && let Some(image) = inspect(docker, official)?
    {
        return Ok(Some(image));
    }
    inspect(docker, &kind.recipe.reference())
}

pub(super) fn inspect(docker: &Docker, reference: &str) -> Result<Option<Image>> {
    let inspected = match block_on(docker.inspect_image(reference)) {
        Ok(inspected) => inspected,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(failed("look for an image", &error)),
    };
    let labels = inspected.config.and_then(|config| config.labels).unwrap_or_default();
    let versions: BTreeMap<String, String> = labels
        .into_iter()
        .filter_map(|(label, version)| Some((label.strip_prefix(build::VERSION_LABEL)?.to_owned(), version)))
        .collect();
    Ok(Some(Image { reference: reference.to_owned(), id: inspected.id.unwrap_or_default(), versions }))
}

fn version_of(program: &MainProgram, argument: &str, image: &Image, launcher: &Launcher) -> Result<String> {
    let MainProgram { name, title, .. } = *program;
    let spec = Spec {
        entrypoint: Some(name.to_owned()),
        command: vec![argument.to_owned()],
        network: Network::None,
        ..Spec::new(&image.reference, title)
    };
    let mut container = Container::start(launcher, Account::Preparation, spec)?;
    let exit = container.wait::<Error>(&mut || launcher.cancel.check())?;
    if exit.code != 0 {
        let reference = &image.reference;
        return Err(Error::Environment(format!(
            "the image '{reference}' has no working {title}: {}",
            container.last_words()
        )));
    }
    Ok(exit.output)
}
