//! The whole mechanism, on real file systems. These tests need root, and fail without what [`missing_for_write_logs`]
//! names.

use std::io::{ErrorKind, Write};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::file_system::sweep;
use crate::process::{Cancel, kill_marked};

const EXT4_BYTES: u64 = 64 << 20;
const XFS_BYTES: u64 = 320 << 20;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(TempDir::new().unwrap())
    }

    fn launcher(&self) -> Launcher {
        Launcher::new(self.0.path(), &Cancel::default())
    }

    fn make(&self, kind: FileSystem) -> LoggedFileSystem {
        let bytes = if kind == FileSystem::Xfs { XFS_BYTES } else { EXT4_BYTES };
        LoggedFileSystem::make(kind, &self.launcher(), "logged", bytes)
            .unwrap_or_else(|error| panic!("this test cannot run here: {error}"))
    }

    /// Nothing is mounted, attached, running or stored.
    fn assert_clean(&self) {
        let root = self.0.path().canonicalize().unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(root.to_str().unwrap()), "{mounts}");
        let give_up = Instant::now() + Duration::from_secs(10);
        while backing_files().iter().any(|file| file.starts_with(root.to_str().unwrap())) {
            assert!(Instant::now() < give_up, "loop devices are left behind");
            std::thread::sleep(TICK);
        }
        assert_eq!(kill_marked(self.0.path()), 0, "processes are left behind");
        let names: Vec<_> = std::fs::read_dir(root).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

fn backing_files() -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    devices
        .filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok())
        .collect()
}

/// Content of a file that no other file has in any block.
fn content(name: &str, bytes: usize) -> Vec<u8> {
    let words = (0..bytes as u64 / 8)
        .flat_map(|number| xxhash_rust::xxh3::xxh3_64_with_seed(name.as_bytes(), number).to_le_bytes());
    words.collect()
}

fn write(path: &Path, bytes: &[u8]) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn write_durably(path: &Path, bytes: &[u8]) {
    write(path, bytes).sync_all().unwrap();
    File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
}

/// A file's content; `None` if it does not exist.
fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        read => Some(read.unwrap()),
    }
}

/// What was promised about files, and when.
struct Promises {
    synchronised: LogPosition,
    written: LogPosition,
    before_rename: LogPosition,
    renamed: LogPosition,
}

/// Writes files with and without synchronising them.
fn use_files(point: &Path, position: &dyn Fn() -> LogPosition) -> Promises {
    write_durably(&point.join("synchronised"), &content("synchronised", 300_000));
    let synchronised = position();
    write(&point.join("written"), &content("written", 300_000));
    let written = position();
    write_durably(&point.join("renamed"), &content("old", 100_000));
    let before_rename = position();
    write(&point.join("new"), &content("new", 100_000));
    std::fs::rename(point.join("new"), point.join("renamed")).unwrap();
    let renamed = position();
    // More transactions, so that the rename reaches the disk in between.
    for number in 0..5 {
        write_durably(&point.join(format!("other-{number}")), &content("other", 5_000));
    }
    Promises { synchronised, written, before_rename, renamed }
}

/// Mounts every state, and judges each file in it by what was promised when the power cut can have happened.
fn judge_all(kind: FileSystem, reorderings_per_interval: usize) {
    let place = Place::new();
    let logged = place.make(kind);
    let promises = use_files(logged.point(), &|| logged.position().unwrap());
    let log = logged.finish().unwrap();
    let markers = vec![promises.synchronised, promises.written, promises.before_rename, promises.renamed];
    let plan = CrashPlan { seed: 7, reorderings_per_interval, markers, ..CrashPlan::default() };
    let launcher = place.launcher();
    let mut replay = CrashReplay::make(&log, &launcher, "crash-state").unwrap();
    let (mut count, mut lost, mut renames) = (0, 0, [0, 0]);
    for state in log.crash_states(plan) {
        count += 1;
        let mounted = replay.mount(&state).unwrap();
        let file = |name: &str| read(&mounted.point().join(name));
        if state.can_follow(promises.synchronised) {
            assert_eq!(file("synchronised"), Some(content("synchronised", 300_000)), "{state}");
        }
        if state.can_follow(promises.written) {
            lost += usize::from(file("written") != Some(content("written", 300_000)));
        }
        if state.can_follow(promises.before_rename) {
            let renamed = file("renamed").unwrap_or_else(|| panic!("the file has no name: {state}"));
            let (is_old, is_new) = (renamed == content("old", 100_000), renamed == content("new", 100_000));
            assert!(is_old || is_new || renamed.is_empty(), "{state}");
            renames = [renames[0] + usize::from(is_old), renames[1] + usize::from(is_new)];
        }
    }
    assert!(count > 20, "only {count} states");
    assert!(lost > 0, "what was only written is whole in every state");
    assert!(renames[0] > 0 && renames[1] > 0, "old or new was not found: {renames:?}");
    drop(replay);
    drop(log);
    place.assert_clean();
}

#[test]
fn ext4_keeps_what_was_synchronised_and_only_that_in_every_crash_state() {
    judge_all(FileSystem::Ext4, 8);
}

#[test]
fn xfs_keeps_what_was_synchronised_and_only_that_in_every_crash_state() {
    judge_all(FileSystem::Xfs, 4);
}

#[test]
fn a_synchronised_file_is_followed_by_a_flush_in_the_log() {
    let place = Place::new();
    let logged = place.make(FileSystem::Ext4);
    let before = logged.position().unwrap();
    write(&logged.point().join("file"), b"content").sync_all().unwrap();
    let after = logged.position().unwrap();
    let log = logged.finish().unwrap();
    let between = |entry: &&Entry| LogPosition(entry.start) >= before && LogPosition(entry.end) <= after;
    let entries: Vec<&Entry> = log.entries().iter().filter(between).collect();
    assert!(entries.iter().any(|entry| entry.length_bytes() > 0 && !entry.is_flush()), "{entries:?}");
    assert!(entries.last().unwrap().is_flush(), "{entries:?}");
}

#[test]
fn writers_side_by_side_do_not_damage_the_log() {
    let place = Place::new();
    let logged = place.make(FileSystem::Ext4);
    let point = logged.point();
    std::thread::scope(|scope| {
        for writer in 0..6 {
            scope.spawn(move || {
                for number in 0..8 {
                    let name = format!("{writer}-{number}");
                    write_durably(&point.join(&name), &content(&name, 500_000));
                }
            });
        }
    });
    // Finishing compares the replayed log with the device.
    logged.finish().unwrap();
    place.assert_clean();
}

#[test]
fn the_last_state_is_the_device_and_an_earlier_one_can_be_made_after_it() {
    let place = Place::new();
    let logged = place.make(FileSystem::Ext4);
    use_files(logged.point(), &|| logged.position().unwrap());
    let log = logged.finish().unwrap();
    let states: Vec<CrashState> = log.crash_states(CrashPlan::default()).collect();
    let mut replay = CrashReplay::make(&log, &place.launcher(), "crash-state").unwrap();
    let mut image = |state: &CrashState| {
        let path = place.0.path().join("copy");
        replay.write_image(state, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        bytes
    };
    let (first, last) = (image(&states[0]), image(states.last().unwrap()));
    assert!(first == std::fs::read(log.files.initial()).unwrap());
    assert!(last == std::fs::read(log.files.image()).unwrap());
    assert!(image(&states[states.len() / 2]) != first && image(&states[0]) == first);
}

#[test]
fn a_recovered_state_is_a_consistent_file_system() {
    let place = Place::new();
    let logged = place.make(FileSystem::Ext4);
    use_files(logged.point(), &|| logged.position().unwrap());
    let log = logged.finish().unwrap();
    let mut replay = CrashReplay::make(&log, &place.launcher(), "crash-state").unwrap();
    let image = place.0.path().join("copy");
    let check = |words: &[&str]| Command::new("e2fsck").args(words).arg(&image).output().unwrap();
    for state in log.crash_states(CrashPlan { reorderings_per_interval: 2, ..CrashPlan::default() }) {
        replay.write_image(&state, &image).unwrap();
        let recovered = check(&["-p"]);
        assert!(matches!(recovered.status.code(), Some(0 | 1)), "{state}: {recovered:?}");
        let checked = check(&["-f", "-n"]);
        assert!(checked.status.success(), "{state}: {checked:?}");
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn dropping_removes_everything_at_any_time() {
    let place = Place::new();
    let logged = place.make(FileSystem::Ext4);
    write(&logged.point().join("file"), &content("file", 100_000));
    drop(logged);
    place.assert_clean();
    let log = place.make(FileSystem::Ext4).finish().unwrap();
    let mut replay = CrashReplay::make(&log, &place.launcher(), "crash-state").unwrap();
    let state = log.crash_states(CrashPlan::default()).next().unwrap();
    let mounted = replay.mount(&state).unwrap();
    let busy = write(&mounted.point().join("file"), b"content");
    drop((busy, mounted));
    drop(replay);
    drop(log);
    place.assert_clean();
    // Its name is taken, so it fails after its first effect.
    std::fs::create_dir(place.0.path().join("logged")).unwrap();
    assert!(LoggedFileSystem::make(FileSystem::Ext4, &place.launcher(), "logged", EXT4_BYTES).is_err());
    std::fs::remove_dir(place.0.path().join("logged")).unwrap();
    place.assert_clean();
}

#[test]
fn the_next_start_removes_what_a_killed_run_left() {
    let place = Place::new();
    let left = place.make(FileSystem::Ext4);
    write(&left.point().join("file"), &content("file", 100_000));
    std::mem::forget(left);
    assert_eq!(kill_marked(place.0.path()), 1);
    assert_eq!(sweep(&place.0.path().canonicalize().unwrap()).unwrap(), 2);
    for name in ["logged", ".logged.logged"] {
        std::fs::remove_dir_all(place.0.path().join(name)).unwrap();
    }
    place.assert_clean();

    let log = place.make(FileSystem::Ext4).finish().unwrap();
    let mut replay = CrashReplay::make(&log, &place.launcher(), "crash-state").unwrap();
    let state = log.crash_states(CrashPlan::default()).next().unwrap();
    std::mem::forget(replay.mount(&state).unwrap());
    assert_eq!(sweep(&place.0.path().canonicalize().unwrap()).unwrap(), 2);
    drop(replay);
    drop(log);
    place.assert_clean();
}

#[test]
fn what_is_missing_is_told_before_any_effect() {
    let place = Place::new();
    let refused = LoggedFileSystem::make(FileSystem::Btrfs, &place.launcher(), "logged", EXT4_BYTES).err();
    assert_eq!(
        refused.unwrap().to_string(),
        "cannot create a file system with a write log (btrfs): the writes of ext4 and xfs can be logged, those of \
         btrfs cannot"
    );
    place.assert_clean();
}
