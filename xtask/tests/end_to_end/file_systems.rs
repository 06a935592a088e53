//! Trials on file systems that are created for them, their snapshots, and that nothing of them is left behind.

use std::process::Child;

use machine::error::Error;
use machine::file_system::{FileSystem, TemporaryFileSystem};
use machine::process::{Cancel, Launcher};
use nix::sys::signal::Signal;
use reports::record::Verdict;

use super::endings::{signal, started_until};
use super::every_strategy::assert_restored;
use super::*;

/// A place for trials on this file system; `None` when it cannot be created, which `cargo xtask test` lists.
pub fn place_for(kind: FileSystem) -> Option<Place> {
    let place = Place::shared().with_datasets_of_servers();
    can_make(kind, &place).then_some(place)
}

/// Whether this file system can be created here; `cargo xtask test` lists what is skipped otherwise.
pub fn can_make(kind: FileSystem, place: &Place) -> bool {
    let launcher = Launcher::new(place.path(), &Cancel::default());
    match TemporaryFileSystem::make(kind, &launcher, kind.name(), kind.disk_bytes(0)) {
        Err(Error::Environment(_)) => false,
        made => {
            made.unwrap();
            true
        }
    }
}

fn on(kind: FileSystem, subject: &str) -> String {
    format!("[subject]\nfile_systems = [\"{}\"]\n{subject}\n{SMALL}", kind.name())
}

const BOTH_MODES: &str = "journal_modes = [\"wal\", \"delete\"]";

#[test]
fn a_snapshot_of_a_subvolume_restores_sqlite_in_both_journal_modes() {
    let Some(place) = place_for(FileSystem::Btrfs) else { return };
    let variants = r#"
        [[variants]]
        strategy = "snapshot"
        [[variants]]
        strategy = "snapshot"
        settings = { mechanism = "subvolume", hold = "nothing" }
        [[variants]]
        strategy = "snapshot"
        settings = { mechanism = "reflink" }
    "#;
    let output = place.run_scenario(&place.scenario(&on(FileSystem::Btrfs, BOTH_MODES), variants));
    let results = place.results();
    assert_eq!(results.trials.len(), 6, "{}", text(&output));
    for trial in &results.trials {
        assert_restored(trial);
        assert!(trial.id.contains("wal-btrfs/") || trial.id.contains("delete-btrfs/"), "{}", trial.id);
        assert_eq!(trial.file_system.as_deref(), Some("btrfs on a loop device"));
        assert!(!trial.control && trial.versions.contains_key("mkfs.btrfs"), "{:?}", trial.versions);
        // The output of the commands shows which mechanism was used.
        let said = trial.backup.as_ref().unwrap().output.as_deref().unwrap_or_default();
        let is_reflink = trial.id.contains("mechanism=reflink");
        assert_eq!(said.contains("'live/database.sqlite' -> 'artifact/snapshot/"), is_reflink, "{said}");
        assert_eq!(said.contains("snapshot of 'live'"), !is_reflink, "{said}");
        assert!(trial.recovery_point.as_ref().unwrap().lost_writes > 0, "{}", trial.id);
        assert_eq!(trial.survives_disk_loss, Some(false), "{}", trial.id);
    }
    let calibration = &results.run.calibration[0];
    assert!(calibration.copy_seconds.is_empty(), "copies to another file system: {calibration:?}");
    place.assert_clean();
}

#[test]
fn reflinks_restore_what_a_transaction_holds_together() {
    let Some(place) = place_for(FileSystem::Xfs) else { return };
    let variants = r#"
        [[variants]]
        strategy = "snapshot"
        [[variants]]
        strategy = "snapshot"
        settings = { hold = "write" }
        [[variants]]
        strategy = "snapshot"
        settings = { mechanism = "reflink", order = "wal-first", pause_ms = 500 }
    "#;
    let output = place.run_scenario(&place.scenario(&on(FileSystem::Xfs, BOTH_MODES), variants));
    let results = place.results();
    assert_eq!(results.trials.len(), 6, "{}", text(&output));
    results.trials.iter().for_each(assert_restored);
    place.assert_clean();
}

/// An older log with a newer database: integrity_check passes.
#[test]
fn a_log_that_is_older_than_its_database_is_found() {
    let Some(place) = place_for(FileSystem::Xfs) else { return };
    let variants = r#"
        [[variants]]
        strategy = "snapshot"
        settings = { mechanism = "reflink", hold = "nothing", order = "wal-first", pause_ms = 1500 }
    "#;
    let extra = on(FileSystem::Xfs, "synchronous = \"normal\"").replace("[40]", "[500]\nwriters = 2");
    let output = place.run_scenario(&place.scenario(&extra, variants));
    let trial = &place.results().trials[0];
    assert_eq!(trial.verdict, Verdict::Corrupt, "{}: {}", trial.reason, text(&output));
    assert!(trial.control && trial.promise == "nothing", "{}", trial.promise);
    assert_eq!(output.status.code(), Some(0), "a control promises nothing");
    place.assert_clean();
}

#[test]
fn a_live_file_is_split_into_the_requested_extents() {
    for kind in [FileSystem::Btrfs, FileSystem::Xfs] {
        let Some(place) = place_for(kind) else { continue };
        let variants = "[[variants]]\nstrategy = \"snapshot\"\nsettings = { mechanism = \"reflink\" }\n";
        let output = place.run_scenario(&place.scenario(&on(kind, "extents = 400"), variants));
        let trial = &place.results().trials[0];
        assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.reason, text(&output));
        assert!(trial.workload.extents >= Some(300), "{}: {:?}", kind.name(), trial.workload.extents);
        place.assert_clean();
    }
}

#[test]
fn a_snapshot_restores_mysql_with_and_without_its_locks() {
    if without_docker() {
        return;
    }
    let Some(place) = place_for(FileSystem::Btrfs) else { return };
    let variants: String = ["nothing", "instance", "global"]
        .map(|lock| format!("[[variants]]\nstrategy = \"snapshot\"\nsettings = {{ lock = \"{lock}\" }}\n"))
        .concat();
    let output =
        place.run_scenario(&place.scenario(&on(FileSystem::Btrfs, "engines = [\"mysql\"]"), &variants));
    let results = place.results();
    assert_eq!(results.trials.len(), 3, "{}", text(&output));
    results.trials.iter().for_each(assert_restored);
    place.assert_clean();
}

#[test]
fn a_snapshot_of_a_volume_is_copied_out_and_removed() {
    for (kind, made) in [(FileSystem::Lvm, "Logical volume"), (FileSystem::Zfs, "")] {
        let Some(place) = place_for(kind) else { continue };
        let variants = format!(
            "[[variants]]\nstrategy = \"snapshot\"\nsettings = {{ hold = \"nothing\" }}\n\
             [[variants]]\nstrategy = \"snapshot\"\nsettings = {{ mechanism = \"{}\", hold = \"write\" }}\n",
            kind.name()
        );
        let output = place.run_scenario(&place.scenario(&on(kind, BOTH_MODES), &variants));
        let results = place.results();
        assert_eq!(results.trials.len(), 4, "{}", text(&output));
        for trial in &results.trials {
            assert_restored(trial);
            let said = trial.backup.as_ref().unwrap().output.as_deref().unwrap_or_default();
            assert!(said.contains(made), "{said}");
        }
        place.assert_clean();
    }
}

#[test]
fn a_snapshot_of_a_volume_restores_mysql() {
    if without_docker() {
        return;
    }
    for kind in [FileSystem::Lvm, FileSystem::Zfs] {
        let Some(place) = place_for(kind) else { continue };
        let variants = "[[variants]]\nstrategy = \"snapshot\"\nsettings = { lock = \"instance\" }\n";
        let output = place.run_scenario(&place.scenario(&on(kind, "engines = [\"mysql\"]"), variants));
        let results = place.results();
        assert_eq!(results.trials.len(), 1, "{}", text(&output));
        assert_restored(&results.trials[0]);
        place.assert_clean();
    }
}

#[test]
fn a_file_system_without_snapshots_makes_them_unavailable() {
    let Some(place) = place_for(FileSystem::Ext4) else { return };
    let variants = "[[variants]]\nstrategy = \"snapshot\"\n[[variants]]\nstrategy = \"cold-copy\"\n";
    let output = place.run_scenario(&place.scenario(&on(FileSystem::Ext4, ""), variants));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let results = place.results();
    let [snapshot, copy] = &results.trials[..] else { panic!("{}", text(&output)) };
    assert_eq!(snapshot.verdict, Verdict::Unavailable, "{}", snapshot.reason);
    insta::assert_snapshot!(
        snapshot.reason,
        @r#"the data is on ext4: it has no subvolumes, it is not ZFS, its files cannot share blocks (reflinks), it is not on a logical volume (LVM); set file_systems = ["btrfs"] in [subject] of the scenario, or choose another disk with --dir"#
    );
    assert_restored(copy);
    place.assert_clean();
}

#[test]
fn a_file_system_ends_with_an_interrupted_run_and_is_swept_after_a_killed_one() {
    for kind in [FileSystem::Btrfs, FileSystem::Lvm, FileSystem::Zfs] {
        let Some(place) = place_for(kind) else { continue };
        let variants = r#"
            [[variants]]
            strategy = "sqlite-online-backup"
            settings = { step_pages = 1, pause_ms = 50, pinned = true }
        "#;
        let started = || {
            let scenario = place.scenario(&on(kind, ""), variants);
            started_until(&place, &scenario, "trial-1/disk/artifact/database.sqlite")
        };
        let mut child = started();
        assert_eq!((place.mounts(), place.loop_devices()), (1, usize::from(kind != FileSystem::Zfs)));
        signal(&child, Signal::SIGINT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        place.assert_clean();

        assert_swept_after_a_kill(&place, started());
    }
}

#[test]
fn a_file_system_that_a_container_uses_is_swept_after_a_killed_run() {
    if without_docker() {
        return;
    }
    let Some(place) = place_for(FileSystem::Btrfs) else { return };
    let variants = "[[variants]]\nstrategy = \"snapshot\"\n";
    let scenario = place.scenario(&on(FileSystem::Btrfs, "engines = [\"mysql\"]"), variants);
    let longer = std::fs::read_to_string(&scenario)
        .unwrap()
        .replace("reference_seconds = 0.5", "reference_seconds = 30.0");
    std::fs::write(&scenario, longer).unwrap();
    let child = started_until(&place, &scenario, "trial-1/ledger/writer-0000.ledger");
    assert_swept_after_a_kill(&place, child);
}

fn assert_swept_after_a_kill(place: &Place, mut child: Child) {
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert_eq!(place.mounts(), 1, "a mount does not end with the process that made it");
    let output = place.run(&["clean"]);
    assert!(text(&output).contains("unmounted 1 file system(s)"), "{}", text(&output));
    place.assert_clean();
}
