//! Images that are present on this machine.

use std::collections::BTreeMap;

use bollard::Docker;
use machine::container::{Container, Network, Spec};
use machine::docker::{block_on, failed, is_absent};
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};

use super::recipe::{Kind, Recipe};
use super::{Image, build};

/// As [`look`], and starts the programs of images without version labels to get their versions.
pub(super) fn find(
    docker: &Docker,
    kind: Kind,
    named: Option<&str>,
    launcher: &Launcher,
) -> Result<Option<Image>> {
    let Some(mut image) = look(docker, kind, named)? else { return Ok(None) };
    if image.versions.is_empty() && kind == Kind::Mysql {
        image.versions.insert("mysqld".to_owned(), ask_mysqld(&image, launcher)?);
    }
    Ok(Some(image))
}

/// The named image, or else the official one, or else the one that the harness builds.
pub(super) fn look(docker: &Docker, kind: Kind, named: Option<&str>) -> Result<Option<Image>> {
    if let Some(named) = named {
        return inspect(docker, named);
    }
    if let Some(official) = kind.official()
        && let Some(image) = inspect(docker, official)?
    {
        return Ok(Some(image));
    }
    inspect(docker, &Recipe::of(kind).reference())
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

fn ask_mysqld(image: &Image, launcher: &Launcher) -> Result<String> {
    let spec = Spec {
        entrypoint: Some("mysqld".to_owned()),
        command: vec!["--version".to_owned()],
        network: Network::None,
        ..Spec::new(&image.reference, "MySQL server")
    };
    let mut container = Container::start(launcher, Account::Preparation, spec)?;
    let exit = container.wait::<Error>(&mut || launcher.cancel.check())?;
    if exit.code != 0 {
        let reference = &image.reference;
        return Err(Error::Environment(format!(
            "the image '{reference}' has no working MySQL server: {}",
            container.last_words()
        )));
    }
    Ok(exit.output)
}
