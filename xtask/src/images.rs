//! `images`: pulls or builds container images before a run needs them.

use std::panic::resume_unwind;
use std::path::Path;

use engines::images::{self, Image, ImageKind, SIDECAR};
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
    let obtain = |kind: &'static ImageKind| images::obtain(kind, None, &launcher, observer);
    // All at once, because some compile while others download; then the one that is built on another image.
    let (derived, independent): (Vec<_>, Vec<_>) = kinds.iter().copied().partition(|kind| *kind == &SIDECAR);
    let mut obtained: Vec<Result<Image>> = std::thread::scope(|scope| {
        let building: Vec<_> = independent.iter().map(|kind| scope.spawn(|| obtain(kind))).collect();
        building.into_iter().map(|image| image.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    obtained.extend(derived.iter().map(|kind| obtain(kind)));
    for (kind, image) in independent.iter().chain(&derived).zip(obtained) {
        let image = image?;
        println!("{:8} {}\n{}", kind.name, image.reference, details(&image));
    }
    Ok(exit::SUCCESS)
}

fn details(image: &Image) -> String {
    let versions = image.versions.iter().map(|(program, version)| format!("         {program}: {version}"));
    let lines: Vec<String> = std::iter::once(format!("         {}", image.id)).chain(versions).collect();
    lines.join("\n")
}
