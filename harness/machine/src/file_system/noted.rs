//! What outlives the process that created it and is neither a process, a mount nor a file: LVM groups, ZFS pools, and
//! snapshots of both. Before one is created, a note about it is written to the work directory, by which the next start
//! finds and removes it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::commands::{LOSETUP, LVM, ZFS, ZPOOL, loop_devices, quiet};
use super::mounts::BUSY_TIMEOUT;
use crate::error::{Error, Result};
use crate::measure::storage;
use crate::process::TICK;

/// Extension of the files with notes.
const NOTE: &str = "volume";

/// A resource that must be removed explicitly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Resource {
    /// A volume group, on a loop device over an image.
    Group { name: String, image: PathBuf },
    /// A logical volume, as `group/volume`.
    LogicalVolume(String),
    /// A pool.
    Pool(String),
    /// A snapshot of a ZFS file system, as `dataset@snapshot`, with its clones.
    ZfsSnapshot(String),
}

impl Resource {
    /// Removes it, if it exists.
    fn remove(&self) -> Result<()> {
        match self {
            Resource::Group { name, image } => {
                end(LVM.command, &["vgs", name], &["vgremove", "--force", "--yes", name])?;
                detach(image)
            }
            Resource::LogicalVolume(name) => {
                end(LVM.command, &["lvs", name], &["lvremove", "--force", "--yes", name])
            }
            Resource::Pool(name) => end(ZPOOL.command, &["list", name], &["destroy", "-f", name]),
            Resource::ZfsSnapshot(name) => end(ZFS.command, &["list", name], &["destroy", "-R", name]),
        }
    }
}

/// Runs the command `remove` until the command `show` fails. Something that was just unmounted may stay busy for a
/// moment.
fn end(program: &str, show: &[&str], remove: &[&str]) -> Result<()> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        let shown = quiet(program, show).context("cannot look for a volume")?;
        if !shown.status.success() {
            return Ok(());
        }
        let removed = quiet(program, remove).context("cannot remove a volume")?;
        if !removed.status.success() {
            if Instant::now() >= give_up {
                let said = String::from_utf8_lossy(&removed.stderr).trim().to_owned();
                return Err(Error::Environment(format!("'{program} {}' failed: {said}", remove.join(" "))));
            }
            std::thread::sleep(TICK);
        }
    }
}

/// Releases the loop devices of an image.
fn detach(image: &Path) -> Result<()> {
    for device in loop_devices(image)? {
        quiet(LOSETUP.command, &["--detach", &device]).context("cannot release a loop device")?;
    }
    Ok(())
}

/// A resource with a note about it. Both are removed when this is dropped.
pub(super) struct NotedResource {
    resource: Resource,
    note: PathBuf,
}

impl NotedResource {
    /// Writes the note, `name` in a directory. The resource does not exist yet.
    pub(super) fn new(resource: Resource, directory: &Path, name: Option<&OsStr>) -> Result<NotedResource> {
        let note = directory.join(name.context("an image has a name")?).with_extension(NOTE);
        let text = serde_json::to_vec(&resource).expect("names and paths are plain data");
        std::fs::write(&note, text).with_context(|| format!("cannot write {}", note.display()))?;
        Ok(NotedResource { resource, note })
    }

    /// Removes the resource. True if that fails; its note then still exists.
    pub(super) fn stays(self) -> bool {
        let note = self.note.clone();
        drop(self);
        note.exists()
    }
}

impl Drop for NotedResource {
    fn drop(&mut self) {
        // If this fails, the next start removes it.
        if self.resource.remove().is_ok() {
            let _ = std::fs::remove_file(&self.note);
        }
    }
}

/// Removes everything with a note in a directory.
///
/// # Errors
/// When something cannot be removed.
pub(super) fn sweep_noted(directory: &Path) -> Result<()> {
    let notes = storage::files(directory);
    let is_note = |file: &&PathBuf| file.extension().is_some_and(|end| end == NOTE);
    let mut noted: Vec<(PathBuf, Resource)> = Vec::new();
    for note in notes.iter().filter(is_note) {
        // If a note is incomplete, nothing was created after it.
        let resource = std::fs::read(note).ok().and_then(|text| serde_json::from_slice(&text).ok());
        noted.extend(resource.map(|resource| (note.clone(), resource)));
    }
    // Snapshots are removed before the groups and pools that contain them.
    noted.sort_by_key(|(_, resource)| matches!(resource, Resource::Group { .. } | Resource::Pool(_)));
    for (note, resource) in noted {
        resource.remove()?;
        std::fs::remove_file(&note).with_context(|| format!("cannot remove {}", note.display()))?;
    }
    Ok(())
}

/// A name that is unique on this machine: a hash of a path.
pub(super) fn unique(path: &Path) -> String {
    format!("backup-drill-{:016x}", xxhash_rust::xxh3::xxh3_64(path.as_os_str().as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_notes_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pool.volume"), r#"{"Pool":"ba"#).unwrap();
        sweep_noted(directory.path()).unwrap();
    }
}
