//! Which mechanism can take a snapshot of data in a directory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use engines::engine::Engine;
use machine::file_system::{BTRFS, Mount, Volume, mount_of, reflinks_work};

use super::settings::{Hold, Mechanism, Snapshot};

/// A mechanism that works on this machine.
pub(super) enum UsableMechanism {
    Subvolume,
    Reflinks,
    Volume(Volume),
}

const ELSEWHERE: &str =
    "set file_systems = [\"btrfs\"] in [subject] of the scenario, or choose another disk with --dir";
/// The inode number of the root directory of every btrfs subvolume.
const SUBVOLUME_INODE: u64 = 256;

/// The mechanism to use, or why none is available.
pub(super) fn usable(
    engine: &dyn Engine,
    directory: &Path,
    settings: &Snapshot,
) -> Result<UsableMechanism, String> {
    let mount = mount_of(directory).map_err(|error| error.to_string())?;
    let is_asked = |mechanism| settings.mechanism == Mechanism::Auto || settings.mechanism == mechanism;
    let mut why = Vec::new();
    if is_asked(Mechanism::Subvolume) {
        match (no_subvolume(&mount, directory), BTRFS.missing()) {
            (None, None) => return Ok(UsableMechanism::Subvolume),
            (None, Some(missing)) => return Err(missing),
            (Some(reason), _) => why.push(reason),
        }
    }
    let volume = Volume::of(&mount);
    if is_asked(Mechanism::Zfs) {
        match &volume {
            Some(volume @ Volume::Zfs { .. }) => return usable_volume(volume),
            _ => why.push("it is not ZFS".into()),
        }
    }
    if is_asked(Mechanism::Reflink) {
        match no_reflinks(engine, directory, settings) {
            None => return Ok(UsableMechanism::Reflinks),
            Some(reason) => why.push(reason),
        }
    }
    if is_asked(Mechanism::Lvm) {
        match &volume {
            Some(volume @ Volume::Lvm { .. }) => return usable_volume(volume),
            _ => why.push("it is not on a logical volume (LVM)".into()),
        }
    }
    Err(format!("the data is on {}: {}; {ELSEWHERE}", mount.kind, why.join(", ")))
}

fn usable_volume(volume: &Volume) -> Result<UsableMechanism, String> {
    match volume.obstacle() {
        None => Ok(UsableMechanism::Volume(volume.clone())),
        Some(obstacle) => Err(obstacle),
    }
}

/// Why no subvolume snapshot of a directory can be taken; `None` if it can.
fn no_subvolume(mount: &Mount, directory: &Path) -> Option<String> {
    if mount.kind != "btrfs" {
        return Some("it has no subvolumes".into());
    }
    let is_one = directory.metadata().is_ok_and(|metadata| metadata.ino() == SUBVOLUME_INODE);
    (!is_one).then(|| "its directory is not a subvolume".into())
}

/// Why reflinks of a database in a directory cannot keep the promise; `None` if they can.
fn no_reflinks(engine: &dyn Engine, directory: &Path, settings: &Snapshot) -> Option<String> {
    if engine.files().is_none() {
        return Some(
            "reflinks are made file by file and cannot capture a data directory at one moment".into(),
        );
    }
    if settings.mechanism == Mechanism::Auto && settings.hold == Hold::Nothing {
        return Some("reflinks promise nothing with hold = 'nothing'".into());
    }
    match reflinks_work(directory) {
        Ok(true) => None,
        Ok(false) => Some("its files cannot share blocks (reflinks)".into()),
        Err(error) => Some(format!("reflinks cannot be tested: {error}")),
    }
}
