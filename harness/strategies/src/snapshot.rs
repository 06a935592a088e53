//! `snapshot`: a snapshot of the file system, which shares its blocks with the live data.
//!
//! A btrfs subvolume is captured as a whole: the restored data is what a power cut at that moment would have left
//! (crash-consistent). Reflinks are made file by file, so a transaction is held meanwhile. While a read transaction is
//! held, SQLite neither restarts the WAL nor checkpoints later changes into the database; in delete mode it does not
//! write to the database at all, and the journal is not needed. ZFS and LVM capture the whole file system at one
//! moment. Their snapshot is copied elsewhere and removed, because a volume that has one is slower, or runs out of
//! space. See <https://sqlite.org/walformat.html>, btrfs-subvolume(8), cp(1) on `--reflink`, zfs-snapshot(8), and
//! lvcreate(8).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use engines::engine::Engine;
use engines::mysql::connection::{Address, Connection};
use machine::error::{Error, Result};
use machine::file_system::{Mount, QUIET_LVM, Volume, mount_of, reflinks_work};
use machine::tool::{BTRFS, CP};
use machine::worker::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files;
use crate::halt::Halt;
use crate::sqlite_tools::open_live;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete,
    settings_of, spawn_work,
};
use crate::watch::Watch;

pub struct Snapshot;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SnapshotSettings {
    busy_timeout_ms: u64,
    hold: Hold,
    lock: Lock,
    mechanism: Mechanism,
    order: Order,
    pause_ms: u64,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        SnapshotSettings {
            busy_timeout_ms: 10_000,
            hold: Hold::Read,
            lock: Lock::Nothing,
            mechanism: Mechanism::Auto,
            order: Order::DatabaseFirst,
            pause_ms: 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mechanism {
    Auto,
    Lvm,
    Reflink,
    Subvolume,
    Zfs,
}

/// A mechanism that works on this machine.
enum Way {
    Subvolume,
    Reflinks,
    Volume(Volume),
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Hold {
    Nothing,
    Read,
    Write,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Lock {
    Nothing,
    Instance,
    Global,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    DatabaseFirst,
    WalFirst,
}

/// The transaction or lock that is held while the snapshot is made.
#[derive(Serialize, Deserialize)]
enum Guard {
    Nothing,
    /// A transaction on the SQLite file.
    Transaction {
        begin: String,
        busy_timeout_ms: u64,
    },
    /// A lock of the MySQL server.
    Lock {
        server: Address,
        lock: String,
        unlock: String,
    },
}

#[derive(Serialize, Deserialize)]
enum Task {
    /// Takes a snapshot of the data's directory as a whole.
    Subvolume,
    /// Makes reflinks of the database and of SQLite's other files, one after the other.
    Reflinks { order: Order, pause_ms: u64 },
    /// Takes a snapshot of the whole volume that holds the data.
    Volume { command: Vec<String> },
}

#[derive(Serialize, Deserialize)]
struct Job {
    data: PathBuf,
    /// A directory that does not exist yet.
    target: PathBuf,
    guard: Guard,
    task: Task,
}

/// The name of the snapshot in the artifact.
const SNAPSHOT: &str = "snapshot";
const ELSEWHERE: &str =
    "set file_systems = [\"btrfs\"] in [subject] of the scenario, or choose another disk with --dir";

impl Strategy for Snapshot {
    fn card(&self) -> Card {
        Card {
            name: "snapshot",
            summary: "file system snapshots: a btrfs subvolume, ZFS, LVM, or reflinks of the files",
            engines: &["mysql", "sqlite"],
            kind: Kind::Snapshot,
            promise: Promise {
                text: "consistent; keeps every write acknowledged before the backup began; blocks writers while a lock \
                       or transaction is held and the snapshot is taken; stays on the disk of the database, except \
                       those of LVM and ZFS, which are copied elsewhere and removed",
                keeps: Keeps::Earlier,
            },
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
            tools: &[CP],
            contained: false,
            cost: Cost { backup: 0.2, restore: 0.5 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<SnapshotSettings>(given)?;
        let is_ordered = settings.order != Order::DatabaseFirst || settings.pause_ms > 0;
        if is_ordered && settings.mechanism != Mechanism::Reflink {
            return Err("order and pause_ms require mechanism = 'reflink', which copies file by file".into());
        }
        Ok(complete)
    }

    fn promise(&self, settings: &Settings) -> Promise {
        let settings: SnapshotSettings = settings_of(settings);
        match (settings.mechanism, settings.hold) {
            (Mechanism::Reflink, Hold::Nothing) => Promise { text: "nothing", keeps: Keeps::Nothing },
            _ => self.card().promise,
        }
    }

    fn survives_disk_loss(
        &self,
        engine: &'static dyn Engine,
        live: &Path,
        settings: &Settings,
    ) -> Option<bool> {
        let settings: SnapshotSettings = settings_of(settings);
        match settings.mechanism {
            Mechanism::Reflink | Mechanism::Subvolume => Some(false),
            Mechanism::Lvm | Mechanism::Zfs => Some(true),
            Mechanism::Auto => way(engine, live, &settings).ok().map(|way| matches!(way, Way::Volume(_))),
        }
    }

    fn obstacle(&self, engine: &'static dyn Engine, directory: &Path, settings: &Settings) -> Option<String> {
        way(engine, directory, &settings_of(settings)).err()
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: SnapshotSettings = context.settings();
        let data = context.subject.data().to_owned();
        let directory = data.parent().expect("a database lies in a directory");
        let engine = context.subject.engine();
        let guard = match context.subject.server() {
            Some(server) => settings.lock.guard(server.address()),
            None => settings.hold.guard(settings.busy_timeout_ms),
        };
        let target = context.destination.join(SNAPSHOT);
        let make = |watch: &mut Watch, task| {
            let job = Job { data: data.clone(), target: target.clone(), guard, task };
            let child = spawn_work(watch, self.card().name, json!(job))?;
            watch.run(vec![child])
        };
        let (watch, place) = (&mut *context.watch, context.destination.to_owned());
        match way(engine, directory, &settings).map_err(Halt::Failed)? {
            Way::Subvolume => make(watch, Task::Subvolume)?,
            Way::Reflinks => {
                make(watch, Task::Reflinks { order: settings.order, pause_ms: settings.pause_ms })?
            }
            Way::Volume(volume) => {
                let snapshot = volume.snapshot(&watch.launcher)?;
                make(watch, Task::Volume { command: snapshot.command() })?;
                let made = std::mem::take(&mut watch.output);
                watch.watch_anew(vec![place], watch.expected_bytes);
                let mounted = snapshot.mount(&watch.launcher).map_err(|error| match error {
                    // For example, a snapshot that ran out of space.
                    Error::Environment(cause) => Halt::Failed(cause),
                    error => error.into(),
                });
                let kept = place_in(mounted?, &data)?;
                let made_directory =
                    std::fs::create_dir(&target).context("cannot make the artifact's directory");
                made_directory.map_err(Error::from)?;
                files::copy(watch, &files::of_database(&kept), &target)?;
                watch.output = made;
                return Ok(());
            }
        };
        watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        let snapshot = context.artifact.join(SNAPSHOT);
        files::restore_from(context, &snapshot, "--reflink=auto")
    }

    fn work(&self, task: Value, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        let job: Job = serde_json::from_value(task)?;
        match &job.guard {
            Guard::Nothing => job.make()?,
            Guard::Transaction { begin, busy_timeout_ms } => {
                let connection = open_live(&job.data, Duration::from_millis(*busy_timeout_ms))?;
                connection.execute_batch(begin).context("cannot begin the transaction to hold")?;
                job.make()?;
                connection.execute_batch("ROLLBACK").context("cannot end the held transaction")?;
            }
            Guard::Lock { server, lock, unlock } => {
                let mut server = Connection::connect(server)?;
                server.execute(lock).with_context(|| format!("MySQL rejected {lock}"))?;
                job.make()?;
                server.execute(unlock).with_context(|| format!("MySQL rejected {unlock}"))?;
                server.close()?;
            }
        }
        Ok(Value::Null)
    }
}

impl Hold {
    fn guard(self, busy_timeout_ms: u64) -> Guard {
        let begin = match self {
            Hold::Nothing => return Guard::Nothing,
            // A transaction begins with its first read.
            Hold::Read => "BEGIN; SELECT count(*) FROM sqlite_schema",
            Hold::Write => "BEGIN IMMEDIATE",
        };
        Guard::Transaction { begin: begin.to_owned(), busy_timeout_ms }
    }
}

impl Lock {
    fn guard(self, server: &Address) -> Guard {
        let (lock, unlock) = match self {
            Lock::Nothing => return Guard::Nothing,
            Lock::Instance => ("LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"),
            Lock::Global => ("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"),
        };
        Guard::Lock { server: server.clone(), lock: lock.to_owned(), unlock: unlock.to_owned() }
    }
}

impl Job {
    fn make(&self) -> anyhow::Result<()> {
        match &self.task {
            Task::Volume { command } => {
                let (program, arguments) = command.split_first().context("a command has a name")?;
                let (name, value) = QUIET_LVM;
                run(Command::new(program).args(arguments).env(name, value))
            }
            Task::Subvolume => {
                let directory = self.data.parent().context("a database lies in a directory")?;
                let words = ["subvolume", "snapshot", "-r"];
                run(Command::new(BTRFS.command).args(words).args([directory, &self.target]))
            }
            Task::Reflinks { order, pause_ms } => {
                std::fs::create_dir(&self.target).context("cannot make the artifact's directory")?;
                let pause = || std::thread::sleep(Duration::from_millis(*pause_ms));
                match order {
                    Order::DatabaseFirst => {
                        self.share(&self.data)?;
                        pause();
                        self.share_what_is_beside()
                    }
                    Order::WalFirst => {
                        self.share_what_is_beside()?;
                        pause();
                        self.share(&self.data)
                    }
                }
            }
        }
    }

    fn share_what_is_beside(&self) -> anyhow::Result<()> {
        let is_held = !matches!(self.guard, Guard::Nothing);
        for file in files::of_database(&self.data).iter().skip(1) {
            // While a transaction is held, no uncommitted page reaches the database: there is nothing to roll back.
            if !(is_held && file.to_string_lossy().ends_with("-journal")) {
                self.share(file)?;
            }
        }
        Ok(())
    }

    fn share(&self, file: &Path) -> anyhow::Result<()> {
        let shared = run(Command::new(CP.command)
            .args(["-a", "-v", "--reflink=always", "--"])
            .args([file, &self.target]));
        // A journal that has disappeared meanwhile is not an error.
        if file.exists() { shared } else { Ok(()) }
    }
}

/// Runs a command whose output goes to the record.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} ended with {}: {}", command.get_program(), output.status, said.trim());
    }
    Ok(())
}

/// The mechanism to use, or why none is available.
fn way(engine: &dyn Engine, directory: &Path, settings: &SnapshotSettings) -> Result<Way, String> {
    let mount = mount_of(directory).map_err(|error| error.to_string())?;
    let is_asked = |mechanism| settings.mechanism == Mechanism::Auto || settings.mechanism == mechanism;
    let mut why = Vec::new();
    if is_asked(Mechanism::Subvolume) {
        match (no_subvolume(&mount, directory), BTRFS.missing()) {
            (None, None) => return Ok(Way::Subvolume),
            (None, Some(missing)) => return Err(missing),
            (Some(reason), _) => why.push(reason),
        }
    }
    let volume = Volume::of(&mount);
    if is_asked(Mechanism::Zfs) {
        match &volume {
            Some(volume @ Volume::Zfs { .. }) => return usable(volume),
            _ => why.push("it is not ZFS".into()),
        }
    }
    if is_asked(Mechanism::Reflink) {
        match no_reflinks(engine, directory, settings) {
            None => return Ok(Way::Reflinks),
            Some(reason) => why.push(reason),
        }
    }
    if is_asked(Mechanism::Lvm) {
        match &volume {
            Some(volume @ Volume::Lvm { .. }) => return usable(volume),
            _ => why.push("it is not on a logical volume (LVM)".into()),
        }
    }
    Err(format!("the data is on {}: {}; {ELSEWHERE}", mount.kind, why.join(", ")))
}

fn usable(volume: &Volume) -> Result<Way, String> {
    match volume.obstacle() {
        None => Ok(Way::Volume(volume.clone())),
        Some(obstacle) => Err(obstacle),
    }
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

/// The inode number of the root directory of every btrfs subvolume.
const SUBVOLUME_INODE: u64 = 256;

/// Why no subvolume snapshot of a directory can be taken; `None` if it can.
fn no_subvolume(mount: &Mount, directory: &Path) -> Option<String> {
    if mount.kind != "btrfs" {
        return Some("it has no subvolumes".into());
    }
    let is_one = directory.metadata().is_ok_and(|metadata| metadata.ino() == SUBVOLUME_INODE);
    (!is_one).then(|| "its directory is not a subvolume".into())
}

/// Why reflinks of a database in a directory cannot keep the promise; `None` if they can.
fn no_reflinks(engine: &dyn Engine, directory: &Path, settings: &SnapshotSettings) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use engines::registry;

    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        Snapshot.complete(&given.collect())
    }

    #[test]
    fn only_reflinks_with_nothing_held_promise_nothing() {
        let keeps_nothing = |given: &[(&str, &str)]| {
            let promise = Snapshot.promise(&settings(given).unwrap());
            matches!(promise.keeps, Keeps::Nothing)
        };
        assert!(keeps_nothing(&[("mechanism", "reflink"), ("hold", "nothing")]));
        assert!(!keeps_nothing(&[("mechanism", "reflink"), ("hold", "read"), ("order", "wal-first")]));
        // On a file system without subvolumes this setting is rejected.
        assert!(!keeps_nothing(&[("hold", "nothing")]));
        assert!(!keeps_nothing(&[]));
    }

    #[test]
    fn snapshots_that_share_blocks_with_the_database_do_not_survive_loss_of_the_disk() {
        let survives = |given: &[(&str, &str)]| {
            Snapshot.survives_disk_loss(
                registry::named("sqlite").unwrap(),
                Path::new("/proc"),
                &settings(given).unwrap(),
            )
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
            settings(&[("order", "wal-first")]).unwrap_err(),
            @"order and pause_ms require mechanism = 'reflink', which copies file by file"
        );
        insta::assert_snapshot!(
            settings(&[("hold", "reading")]).unwrap_err(),
            @"unknown variant `reading`, expected one of `nothing`, `read`, `write`"
        );
        let obstacle = |given: &[(&str, &str)]| {
            Snapshot.obstacle(
                registry::named("mysql").unwrap(),
                Path::new("/proc"),
                &settings(given).unwrap(),
            )
        };
        insta::assert_snapshot!(
            obstacle(&[]).unwrap(),
            @r#"the data is on proc: it has no subvolumes, it is not ZFS, reflinks are made file by file and cannot capture a data directory at one moment, it is not on a logical volume (LVM); set file_systems = ["btrfs"] in [subject] of the scenario, or choose another disk with --dir"#
        );
        assert!(obstacle(&[("mechanism", "subvolume")]).unwrap().contains("proc: it has no subvolumes; set"));
    }
}
