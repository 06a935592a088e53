//! `images`: gets what containers are made from, before a run needs it.

use std::path::Path;

use harness::error::Result;
use harness::event::Observer;
use harness::images::{self, Image, Kind};
use harness::process::{Cancel, Launcher};
use harness::workspace::Workspace;

/// Gets images and prints what they are.
///
/// # Errors
/// The first that cannot be had.
pub fn show(kinds: &[Kind], directory: &Path, cancel: &Cancel, observer: Observer<'_>) -> Result<u8> {
    let workspace = Workspace::open(directory)?;
    workspace.sweep()?;
    let work = workspace.work_directory("images")?;
    let launcher = Launcher::new(work.path(), cancel);
    for kind in kinds {
        let image = images::obtain(*kind, None, &launcher, observer)?;
        println!("{:8} {}\n{}", kind.name(), image.reference, details(&image));
    }
    Ok(crate::exit::SUCCESS)
}

fn details(image: &Image) -> String {
    let versions = image.versions.iter().map(|(program, version)| format!("         {program}: {version}"));
    let lines: Vec<String> = std::iter::once(format!("         {}", image.id)).chain(versions).collect();
    lines.join("\n")
}

/// For `doctor`: prints whether Docker is there and what becomes of each image; false when a container could not
/// be started.
///
/// # Errors
/// When Docker answers and then does not.
pub fn diagnose() -> Result<bool> {
    println!("\ncontainers");
    match harness::docker::server_version() {
        Ok(version) => println!("  ready    Docker {version}"),
        Err(error) => {
            println!("  missing  {error}");
            return Ok(false);
        }
    }
    let mut complete = true;
    for kind in Kind::ALL {
        let name = kind.name();
        if let Some(image) = images::here(kind)? {
            let version = image.version(kind).map(|version| format!(" ({version})")).unwrap_or_default();
            println!("  ready    image {name}: {}{version}", image.reference);
            continue;
        }
        let pulled = kind.official().map(|official| format!("pulled as {official}, or "));
        let pulled = pulled.unwrap_or_default();
        let missing = images::missing_to_build(kind);
        let own = images::own_reference(kind);
        if missing.is_empty() {
            println!("  absent   image {name}: will be {pulled}built as {own} ('cargo xtask images {name}')");
        } else {
            complete = false;
            println!("  missing  image {name}: can be {pulled}built, but {}", missing.join("; "));
        }
    }
    Ok(complete)
}
