//! `images`: pulls or builds container images before a run needs them.

use std::path::Path;

use engines::images::{self, Image, ImageKind};
use machine::error::Result;
use machine::event::Observer;
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;

use crate::exit;

/// Gets images and prints their references, digests and versions.
///
/// # Errors
/// When an image cannot be pulled or built.
pub fn show(
    kinds: &[&'static ImageKind],
    directory: &Path,
    cancel: &Cancel,
    observer: Observer<'_>,
) -> Result<u8> {
    let workspace = Workspace::open(directory)?;
    workspace.sweep()?;
    let work = workspace.work_directory("images")?;
    let launcher = Launcher::new(work.path(), cancel);
    for kind in kinds {
        let image = images::obtain(kind, None, &launcher, observer)?;
        println!("{:8} {}\n{}", kind.name, image.reference, details(&image));
    }
    Ok(exit::SUCCESS)
}

fn details(image: &Image) -> String {
    let versions = image.versions.iter().map(|(program, version)| format!("         {program}: {version}"));
    let lines: Vec<String> = std::iter::once(format!("         {}", image.id)).chain(versions).collect();
    lines.join("\n")
}
