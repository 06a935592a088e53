//! LVM volumes and ZFS pools that are created for a trial, and snapshots of the volumes that a database is on.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::sys::stat::{major, minor};
use nix::unistd::geteuid;

use super::commands::{LOSETUP, LVM, MOUNT, ZFS, ZPOOL, command, loop_devices, quiet, run};
use super::mounts::{Mount, unmount_all};
use super::noted::{NotedResource, Resource, unique};
use crate::error::{Error, Result};
use crate::process::Launcher;

/// Share of a volume group that a file system gets; the rest is for snapshots of it.
const VOLUME_SHARE: &str = "60%VG";

/// Creates a volume group on an image, and a volume in it. Returns what must be removed, and the device.
pub(super) fn make_logical_volume(launcher: &Launcher, image: &Path) -> Result<(NotedResource, PathBuf)> {
    // Opened, because the file can exist without the driver.
    if let Err(error) = std::fs::File::open("/dev/mapper/control") {
        let cause = format!(
            "the kernel has no device-mapper (/dev/mapper/control: {error}): load its module 'dm_mod'"
        );
        return Err(Error::Environment(cause));
    }
    let group = unique(image);
    let resource = Resource::Group { name: group.clone(), image: image.to_owned() };
    let noted = NotedResource::new(resource, launcher.work_directory(), image.file_stem())?;
    run(launcher, command(&LOSETUP, &["--find", "--direct-io=on"], &[image]))?;
    let device = loop_devices(image)?.pop().context("a loop device that was just created is gone")?;
    run(launcher, command(&LVM, &["vgcreate", "--quiet", "--yes", &group, &device], &[]))?;
    let volume = [
        "lvcreate",
        "--quiet",
        "--yes",
        "--wipesignatures",
        "n",
        "--extents",
        VOLUME_SHARE,
        "--name",
        "data",
    ];
    run(launcher, command(&LVM, &[&volume[..], &[group.as_str()]].concat(), &[]))?;
    Ok((noted, Path::new("/dev").join(group).join("data")))
}

/// Creates a pool on an image, and mounts its file system. Returns what must be removed.
pub(super) fn make_pool(launcher: &Launcher, image: &Path, point: &Path) -> Result<NotedResource> {
    let pool = unique(image);
    let noted =
        NotedResource::new(Resource::Pool(pool.clone()), launcher.work_directory(), image.file_stem())?;
    let mountpoint = point.display().to_string();
    run(launcher, command(&ZPOOL, &["create", "-m", &mountpoint, &pool], &[image]))?;
    Ok(noted)
}

/// A volume that supports snapshots of a whole file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// The logical volume of a file system.
    Lvm {
        /// Its volume group.
        group: String,
        /// Its name in the group.
        volume: String,
        /// The type of the file system.
        kind: String,
    },
    /// A file system of ZFS.
    Zfs {
        /// Its name.
        dataset: String,
    },
}

impl Volume {
    /// The volume of a mounted file system; `None` if it is not on one.
    pub fn of(mount: &Mount) -> Option<Volume> {
        // `fuse.zfs` is the implementation in user space.
        if mount.kind == "zfs" || mount.kind == "fuse.zfs" {
            return Some(Volume::Zfs { dataset: mount.source.clone() });
        }
        let device = std::fs::metadata(&mount.source).ok().map(|file| file.rdev())?;
        let mapper = PathBuf::from(format!("/sys/dev/block/{}:{}/dm", major(device), minor(device)));
        let read = |name| std::fs::read_to_string(mapper.join(name)).ok();
        if !read("uuid")?.starts_with("LVM-") {
            return None;
        }
        let (group, volume) = group_and_volume(read("name")?.trim())?;
        Some(Volume::Lvm { group, volume, kind: mount.kind.clone() })
    }

    /// Why no snapshot of it can be taken, and what to do about it; `None` if one can.
    pub fn obstacle(&self) -> Option<String> {
        if !geteuid().is_root() {
            return Some("only root can take a snapshot of it: run this as root".into());
        }
        match self {
            Volume::Zfs { .. } => None,
            Volume::Lvm { group, .. } => {
                let free = ["vgs", "--noheadings", "--options", "vg_free_count", group];
                let free = match quiet(LVM.command, &free) {
                    Err(error) => return Some(format!("'lvm' cannot be run: {error}: {}", LVM.install)),
                    Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                };
                (free.parse() == Ok(0u64)).then(|| {
                    format!("its volume group {group} has no free extents for a snapshot: add a disk to it (vgextend)")
                })
            }
        }
    }

    /// Prepares a snapshot of it, which [`VolumeSnapshot::command`] then takes.
    ///
    /// # Errors
    /// When the note about it cannot be written.
    pub fn snapshot(&self, launcher: &Launcher) -> Result<VolumeSnapshot> {
        let directory = launcher.work_directory();
        let name = unique(&directory.join("kept"));
        let resource = match self {
            Volume::Lvm { group, .. } => Resource::LogicalVolume(format!("{group}/{name}")),
            Volume::Zfs { dataset } => Resource::ZfsSnapshot(format!("{dataset}@{name}")),
        };
        let noted = NotedResource::new(resource, directory, Some("kept".as_ref()))?;
        let point = directory.join("snapshot-of-the-volume");
        Ok(VolumeSnapshot { volume: self.clone(), name, point, noted: Some(noted) })
    }
}

/// Splits a device-mapper name into group and volume: it joins both with a dash, and doubles the dashes in them.
fn group_and_volume(name: &str) -> Option<(String, String)> {
    let marked = name.replace("--", "\0");
    let (group, volume) = marked.split_once('-')?;
    Some((group.replace('\0', "-"), volume.replace('\0', "-")))
}

/// A snapshot of a volume. Dropping it unmounts and removes it.
pub struct VolumeSnapshot {
    volume: Volume,
    name: String,
    point: PathBuf,
    noted: Option<NotedResource>,
}

impl VolumeSnapshot {
    /// The command that takes the snapshot.
    pub fn command(&self) -> Vec<String> {
        let name = &self.name;
        let line = match &self.volume {
            // All free space, because the snapshot grows with every write to the volume.
            Volume::Lvm { group, volume, .. } => {
                format!("lvm lvcreate --snapshot --extents 100%FREE --name {name} {group}/{volume}")
            }
            Volume::Zfs { dataset } => format!("{} snapshot {dataset}@{name}", ZFS.command),
        };
        // None of these names can contain a blank.
        line.split(' ').map(str::to_owned).collect()
    }

    /// Mounts it after it was taken. Returns the mount point.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be mounted; [`Error::Interrupted`].
    pub fn mount(&self, launcher: &Launcher) -> Result<&Path> {
        std::fs::create_dir(&self.point).context("cannot create a directory for a snapshot")?;
        match &self.volume {
            Volume::Lvm { group, kind, .. } => {
                // Without nouuid, XFS does not mount a second file system with the same UUID.
                let options = if kind == "xfs" { "ro,nouuid" } else { "ro" };
                let device = Path::new("/dev").join(group).join(&self.name);
                run(launcher, command(&MOUNT, &["-t", kind, "-o", options], &[&device, &self.point]))?;
            }
            Volume::Zfs { dataset } => {
                let mountpoint = format!("mountpoint={}", self.point.display());
                let words = ["clone", "-o", &mountpoint, &format!("{dataset}@{0}", self.name)];
                let clone = format!("{}/{}", dataset, self.name);
                run(launcher, command(&ZFS, &[&words[..], &[clone.as_str()]].concat(), &[]))?;
            }
        }
        Ok(&self.point)
    }
}

impl Drop for VolumeSnapshot {
    fn drop(&mut self) {
        // If this fails, the next start cleans up.
        let _ = unmount_all(&self.point);
        self.noted.take();
        let _ = std::fs::remove_dir(&self.point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_volume_are_read_from_the_device_mapper() {
        let read = |name| group_and_volume(name).unwrap();
        assert_eq!(read("vg0-data"), ("vg0".into(), "data".into()));
        assert_eq!(read("my--group-a--b"), ("my-group".into(), "a-b".into()));
        assert_eq!(group_and_volume("crypt"), None);
    }

    #[test]
    fn a_snapshot_is_taken_with_the_command_of_its_kind_of_volume() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &crate::process::Cancel::default());
        let command = |volume: Volume| {
            let snapshot = volume.snapshot(&launcher).unwrap();
            let command = snapshot.command().join(" ").replace(&snapshot.name, "NAME");
            let noted = std::fs::read_to_string(directory.path().join("kept.volume")).unwrap();
            // The snapshot was not taken, so nothing must be removed.
            std::mem::forget(snapshot);
            (command, noted.replace(&unique(&directory.path().join("kept")), "NAME"))
        };
        let lvm = Volume::Lvm { group: "vg".into(), volume: "data".into(), kind: "xfs".into() };
        let (made, noted) = command(lvm);
        assert_eq!(made, "lvm lvcreate --snapshot --extents 100%FREE --name NAME vg/data");
        assert_eq!(noted, r#"{"LogicalVolume":"vg/NAME"}"#);
        let (made, noted) = command(Volume::Zfs { dataset: "tank/db".into() });
        assert_eq!(made, "zfs snapshot tank/db@NAME");
        assert_eq!(noted, r#"{"ZfsSnapshot":"tank/db@NAME"}"#);
    }
}
