//! A file system that the harness creates is mounted, used, and removed, however its use ends.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use machine::error::Error;
use machine::file_system::{FileSystem, TemporaryFileSystem, Volume, VolumeSnapshot, mount_of, sweep};
use machine::measure::extents;
use machine::process::{Cancel, Launcher};
use tempfile::TempDir;

const BYTES: u64 = 512 << 20;

struct Place {
    directory: TempDir,
    cancel: Cancel,
}

impl Place {
    fn new() -> Place {
        // Next to the build, because a temporary directory may be in memory.
        Place { directory: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), cancel: Cancel::default() }
    }

    fn launcher(&self) -> Launcher {
        Launcher::new(self.directory.path(), &self.cancel)
    }

    /// A file system; `None` if it cannot be created, which `cargo xtask test` reports.
    fn make(&self, kind: FileSystem) -> Option<TemporaryFileSystem> {
        let made = match TemporaryFileSystem::make(kind, &self.launcher(), "disk", BYTES) {
            Err(Error::Environment(_)) => return None,
            made => made.unwrap(),
        };
        let mounted = mount_of(made.point()).unwrap().kind;
        match kind {
            FileSystem::Lvm => assert_eq!(mounted, "ext4"),
            // The implementation in user space has another type name.
            FileSystem::Zfs => assert!(mounted == "zfs" || mounted == "fuse.zfs", "{mounted}"),
            _ => assert_eq!(mounted, kind.name()),
        }
        Some(made)
    }

    /// Number of notes about LVM groups, ZFS pools and snapshots.
    fn notes(&self) -> usize {
        let entries = std::fs::read_dir(self.directory.path()).unwrap().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "volume")).count()
    }

    fn assert_clean(&self) {
        let root = self.directory.path().canonicalize().unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&root.display().to_string()), "{mounts}");
        let give_up = Instant::now() + Duration::from_secs(10);
        while backing_files().iter().any(|image| image.starts_with(&root)) {
            assert!(Instant::now() < give_up, "loop devices are left behind");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "files are left behind");
    }
}

fn backing_files() -> Vec<PathBuf> {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    let files =
        devices.filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.map(|file| PathBuf::from(file.trim())).collect()
}

#[test]
fn each_kind_is_mounted_used_and_gone_when_dropped() {
    for kind in FileSystem::MADE {
        let place = Place::new();
        let Some(made) = place.make(kind) else { continue };
        kind.create_directory(&place.launcher(), &made.point().join("live")).unwrap();
        std::fs::write(made.point().join("live/file"), "content").unwrap();
        let device = mount_of(made.point()).unwrap().source;
        let name = Path::new(&device).file_name().unwrap();
        // Only for file systems that are directly on a loop device.
        let direct = std::fs::read_to_string(Path::new("/sys/block").join(name).join("loop/dio"));
        assert_eq!(direct.is_err(), matches!(kind, FileSystem::Lvm | FileSystem::Zfs));
        assert_eq!(direct.as_deref().unwrap_or("1").trim(), "1", "everything would be cached twice");
        drop(made);
        place.assert_clean();
    }
}

#[test]
fn a_panic_leaves_nothing() {
    let place = Place::new();
    let Some(made) = place.make(FileSystem::Ext4) else { return };
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _made = made;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    place.assert_clean();
}

#[test]
fn a_file_system_that_was_never_dropped_is_swept() {
    for kind in [FileSystem::Xfs, FileSystem::Lvm, FileSystem::Zfs] {
        let place = Place::new();
        let Some(made) = place.make(kind) else { continue };
        std::mem::forget(made);
        let root = place.directory.path().canonicalize().unwrap();
        assert_eq!(sweep(&root).unwrap(), 1);
        assert_eq!(sweep(&root).unwrap(), 0);
        std::fs::remove_file(root.join("disk.image")).unwrap();
        std::fs::remove_dir(root.join("disk")).unwrap();
        place.assert_clean();
    }
}

#[test]
fn a_snapshot_of_a_volume_holds_one_moment_and_is_gone_when_dropped() {
    for kind in [FileSystem::Lvm, FileSystem::Zfs] {
        let place = Place::new();
        let Some(made) = place.make(kind) else { continue };
        drop(snapshot_of(&place, &made));
        assert_eq!(place.notes(), 1, "that of the group or pool");
        drop(made);
        place.assert_clean();
    }
}

#[test]
fn a_snapshot_of_a_volume_that_was_never_dropped_is_swept() {
    for kind in [FileSystem::Lvm, FileSystem::Zfs] {
        let place = Place::new();
        let Some(made) = place.make(kind) else { continue };
        std::mem::forget(snapshot_of(&place, &made));
        std::mem::forget(made);
        assert_eq!(place.notes(), 2);
        let root = place.directory.path().canonicalize().unwrap();
        assert_eq!(sweep(&root).unwrap(), 2);
        assert_eq!(place.notes(), 0);
        std::fs::remove_file(root.join("disk.image")).unwrap();
        for point in ["disk", "snapshot-of-the-volume"] {
            std::fs::remove_dir(root.join(point)).unwrap();
        }
        place.assert_clean();
    }
}

/// Takes a snapshot, changes the original, and checks the snapshot's content.
fn snapshot_of(place: &Place, made: &TemporaryFileSystem) -> VolumeSnapshot {
    let file = made.point().join("file");
    std::fs::write(&file, "before").unwrap();
    let volume = Volume::of(&mount_of(made.point()).unwrap()).unwrap();
    assert_eq!(volume.obstacle(), None);
    let snapshot = volume.snapshot(&place.launcher()).unwrap();
    let command = snapshot.command();
    assert!(Command::new(&command[0]).args(&command[1..]).status().unwrap().success());
    std::fs::write(&file, "after").unwrap();
    let kept = snapshot.mount(&place.launcher()).unwrap().join("file");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "before");
    snapshot
}

#[test]
fn unmounting_waits_for_processes_that_still_use_it() {
    let place = Place::new();
    let Some(made) = place.make(FileSystem::Ext4) else { return };
    let file = File::create(made.point().join("file")).unwrap();
    let user = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(file);
    });
    drop(made);
    place.assert_clean();
    user.join().unwrap();
}

#[test]
fn an_interruption_leaves_nothing() {
    let place = Place::new();
    if place.make(FileSystem::Btrfs).is_none() {
        return;
    }
    place.cancel.cancel();
    let made = TemporaryFileSystem::make(FileSystem::Btrfs, &place.launcher(), "disk", BYTES);
    assert!(matches!(made, Err(Error::Interrupted)));
    place.assert_clean();
}

#[test]
fn a_file_system_that_is_too_small_is_reported_and_leaves_nothing() {
    let place = Place::new();
    if place.make(FileSystem::Xfs).is_none() {
        return;
    }
    let Err(Error::Environment(cause)) =
        TemporaryFileSystem::make(FileSystem::Xfs, &place.launcher(), "disk", 1 << 20)
    else {
        panic!("an XFS of 1 MiB is impossible")
    };
    assert!(
        cause.starts_with("cannot create a separate file system (xfs): 'mkfs.xfs' ended with"),
        "{cause}"
    );
    place.assert_clean();
}

#[test]
fn a_file_can_be_fragmented_where_blocks_can_be_shared() {
    for kind in [FileSystem::Btrfs, FileSystem::Xfs] {
        let place = Place::new();
        let Some(made) = place.make(kind) else { continue };
        let file = made.point().join("file");
        let content: Vec<u8> = (0..4u32 << 18).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&file, &content).unwrap();
        extents::fragment(&place.launcher(), &file, 200).unwrap();
        let extents = extents::count(&file).unwrap();
        assert!((180..=260).contains(&extents), "{}: {extents}", kind.name());
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
}
