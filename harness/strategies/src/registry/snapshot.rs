//! `snapshot`: a snapshot of the file system, which shares its blocks with the live data.
//!
//! A btrfs subvolume is captured as a whole: the restored data is what a power cut at that moment would have left
//! (crash-consistent). Reflinks are made file by file, so a transaction is held meanwhile. While a read transaction is
//! held, SQLite neither restarts the WAL nor checkpoints later changes into the database; in delete mode it does not
//! write to the database at all, and the journal is not needed. ZFS and LVM capture the whole file system at one
//! moment. Their snapshot is copied elsewhere and removed, because a volume that has one is slower, or runs out of
//! space. See <https://sqlite.org/walformat.html>, btrfs-subvolume(8), cp(1) on `--reflink`, zfs-snapshot(8), and
//! lvcreate(8).

mod job;
mod mechanism;
mod settings;

use std::path::{Path, PathBuf};

use anyhow::Context;
use engines::engine::Engine;
use machine::error::{Error, Result};
use machine::file_system::{Volume, mount_of};
use machine::tool::CP;
use machine::worker::JobEntry;

use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Placement,
    Promise, RestoreContext, RestoreResult, Strategy, StrategyEntry,
};
use crate::files;
use job::{Capture, Guard, TakeSnapshot};
use mechanism::{UsableMechanism, usable};
use settings::{Mechanism, Order, Snapshot};

inventory::submit! { StrategyEntry::of::<Snapshot>() }

/// The name of the snapshot in the artifact.
const SNAPSHOT: &str = "snapshot";

impl Definition for Snapshot {
    const CARD: Card = Card {
        name: "snapshot",
        summary: "file system snapshots: a btrfs subvolume, ZFS, LVM, or reflinks of the files",
        family: Family::Snapshot,
        on: &[
            OnEngine { engine: "mysql", tools: &[CP], image: None },
            OnEngine { engine: "sqlite", tools: &[CP], image: None },
        ],
        settings: &[
            ("busy_timeout_ms", "SQLite: how long the held transaction waits for a lock"),
            (
                "hold",
                "SQLite: the transaction that is held during the snapshot: nothing, read or write; reflinks with \
                 nothing held promise nothing",
            ),
            (
                "lock",
                "MySQL: the lock that is held during the snapshot: nothing, instance (LOCK INSTANCE FOR BACKUP) or \
                 global (FLUSH TABLES WITH READ LOCK)",
            ),
            (
                "mechanism",
                "subvolume (btrfs), zfs, reflink (SQLite only), lvm, or auto: the first of these that can keep the \
                 promise on this machine",
            ),
            ("order", "reflinks: which file is first: database-first or wal-first"),
            ("pause_ms", "reflinks: pause between the two"),
        ],
        cost: Cost { backup: 0.2, restore: 0.5, artifact: 1.0 },
    };

    const JOBS: &'static [JobEntry] = &[JobEntry::of::<TakeSnapshot>()];

    fn validate(&self) -> Result<(), String> {
        let is_ordered = self.order != Order::DatabaseFirst || self.pause_ms > 0;
        if is_ordered && self.mechanism != Mechanism::Reflink {
            return Err("order and pause_ms require mechanism = 'reflink', which copies file by file".into());
        }
        Ok(())
    }
}

impl Strategy for Snapshot {
    fn promise(&self) -> Promise {
        if self.is_unsafe() {
            return Promise { text: "nothing", keeps: Keeps::Nothing };
        }
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; blocks writers while a lock \
                   or transaction is held and the snapshot is taken; stays on the disk of the database, except \
                   those of LVM and ZFS, which are copied elsewhere and removed",
            keeps: Keeps::Earlier,
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities { placement: Some(self), ..Abilities::default() }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let data = context.subject.data().to_owned();
        let directory = data.parent().expect("a database lies in a directory");
        let guard = match context.subject.server() {
            Some(server) => self.lock.guard(server.address()),
            None => self.hold.guard(self.busy_timeout_ms),
        };
        let usable = usable(context.subject.engine(), directory, self);
        let target = context.destination.join(SNAPSHOT);
        let capture = match usable.map_err(|reason| context.watch.failed(reason))? {
            UsableMechanism::Subvolume => Capture::Subvolume,
            UsableMechanism::Reflinks => Capture::Reflinks { order: self.order, pause_ms: self.pause_ms },
            UsableMechanism::Volume(volume) => return copy_of_volume(context, &volume, data, target, guard),
        };
        context.watch.work(&TakeSnapshot { data, target, guard, capture })?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        let snapshot = context.artifact.join(SNAPSHOT);
        files::restore_from(context, &snapshot, "--reflink=auto")
    }
}

impl Placement for Snapshot {
    fn obstacle(&self, engine: &dyn Engine, directory: &Path) -> Option<String> {
        usable(engine, directory, self).err()
    }

    fn survives_disk_loss(&self, engine: &dyn Engine, directory: &Path) -> Option<bool> {
        match self.mechanism {
            Mechanism::Reflink | Mechanism::Subvolume => Some(false),
            Mechanism::Lvm | Mechanism::Zfs => Some(true),
            Mechanism::Auto => {
                let usable = usable(engine, directory, self).ok()?;
                Some(matches!(usable, UsableMechanism::Volume(_)))
            }
        }
    }
}

/// Takes a snapshot of the volume that holds the data, copies the data from it, and removes it.
fn copy_of_volume(
    context: &mut BackupContext<'_>,
    volume: &Volume,
    data: PathBuf,
    target: PathBuf,
    guard: Guard,
) -> BackupResult {
    let watch = &mut *context.watch;
    let snapshot = volume.snapshot(watch.launcher())?;
    let capture = Capture::Volume { command: snapshot.command() };
    let take = TakeSnapshot { data, target, guard, capture };
    watch.work(&take)?;
    let taken = watch.measured().output;
    watch.begin_part(vec![context.destination.to_owned()], Some(context.database_bytes));
    let mounted = snapshot.mount(watch.launcher()).map_err(|error| match error {
        // For example, a snapshot that ran out of space.
        Error::Environment(cause) => watch.failed(cause),
        error => error.into(),
    });
    let kept = place_in(mounted?, &take.data)?;
    let made_directory = std::fs::create_dir(&take.target).context("cannot make the artifact's directory");
    made_directory.map_err(Error::from)?;
    files::copy(watch, &files::of_database(&kept), &take.target)?;
    let mut outcome = watch.complete_backup()?;
    outcome.measured.output = taken;
    Ok(outcome)
}

/// The path of the data inside a mounted snapshot of its file system.
fn place_in(snapshot: &Path, data: &Path) -> Result<PathBuf> {
    let data = data.canonicalize().context("cannot find the live data")?;
    let mount = mount_of(&data)?;
    let below = |path: &Path, above: &Path| -> anyhow::Result<PathBuf> {
        let below = path.strip_prefix(above).map(Path::to_owned);
        below.with_context(|| format!("{} is not in {}", path.display(), above.display()))
    };
    Ok(snapshot.join(below(&mount.root, Path::new("/"))?).join(below(&data, &mount.point)?))
}

#[cfg(test)]
mod tests {
    use engines::registry;

    use super::*;
    use crate::contract::configured::parse;

    fn snapshot(given: &[(&str, &str)]) -> Result<Snapshot, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        parse(&given.collect())
    }

    #[test]
    fn only_reflinks_with_nothing_held_promise_nothing() {
        let keeps_nothing = |given: &[(&str, &str)]| snapshot(given).unwrap().promise().is_none();
        assert!(keeps_nothing(&[("mechanism", "reflink"), ("hold", "nothing")]));
        assert!(!keeps_nothing(&[("mechanism", "reflink"), ("hold", "read"), ("order", "wal-first")]));
        // On a file system without subvolumes this setting is rejected.
        assert!(!keeps_nothing(&[("hold", "nothing")]));
        assert!(!keeps_nothing(&[]));
    }

    #[test]
    fn snapshots_that_share_blocks_with_the_database_do_not_survive_loss_of_the_disk() {
        let survives = |given: &[(&str, &str)]| {
            let engine = registry::named("sqlite").unwrap();
            snapshot(given).unwrap().survives_disk_loss(engine, Path::new("/proc"))
        };
        assert_eq!(survives(&[("mechanism", "subvolume")]), Some(false));
        assert_eq!(survives(&[("mechanism", "reflink")]), Some(false));
        assert_eq!(survives(&[("mechanism", "lvm")]), Some(true));
        assert_eq!(survives(&[("mechanism", "zfs")]), Some(true));
        // None of them is possible here.
        assert_eq!(survives(&[]), None);
    }

    #[test]
    fn impossible_settings_are_refused_with_the_reason() {
        insta::assert_snapshot!(
            snapshot(&[("order", "wal-first")]).err().unwrap(),
            @"order and pause_ms require mechanism = 'reflink', which copies file by file"
        );
        insta::assert_snapshot!(
            snapshot(&[("hold", "reading")]).err().unwrap(),
            @"unknown variant `reading`, expected one of `nothing`, `read`, `write`"
        );
        let mysql = registry::named("mysql").unwrap();
        let obstacle = |given: &[(&str, &str)]| snapshot(given).unwrap().obstacle(mysql, Path::new("/proc"));
        insta::assert_snapshot!(
            obstacle(&[]).unwrap(),
            @r#"the data is on proc: it has no subvolumes, it is not ZFS, reflinks are made file by file and cannot capture a data directory at one moment, it is not on a logical volume (LVM); set file_systems = ["btrfs"] in [subject] of the scenario, or choose another disk with --dir"#
        );
        assert!(obstacle(&[("mechanism", "subvolume")]).unwrap().contains("proc: it has no subvolumes; set"));
    }
}
