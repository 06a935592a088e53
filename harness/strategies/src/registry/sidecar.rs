//! `sidecar`: the container that runs beside an application and backs it up at an interval (`sidecar/`).
//!
//! It is started before the backup is called and runs until the disaster, which kills it in whatever state it is in.
//! One cycle is measured: the last one that the backup waits for. The loss due to the interval shows in the recovery
//! point.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use engines::images::SIDECAR;
use jiff::Timestamp;
use machine::container::Container;
use machine::error::{Error, Result};
use machine::measure::storage;
use machine::process::{Account, Counters};
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupOutcome, BackupResult, Card, Continuous, Cost, Definition, FailureCause,
    Family, Keeps, Measured, OnEngine, Promise, Replication, RestoreContext, RestoreResult, Retention,
    Strategy, StrategyEntry, StrategyFailure,
};
use crate::sidecar_container::{Loop, RETENTION_DAYS, SQLITE_MODE, SqliteMode, kinds, looping, restore};

inventory::submit! { StrategyEntry::of::<Sidecar>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sidecar {
    aged_backups: u32,
    cycles: u32,
    interval_seconds: u32,
    retention_days: u32,
    sqlite_mode: SqliteMode,
    verify_every: u32,
}

impl Default for Sidecar {
    fn default() -> Self {
        Sidecar {
            aged_backups: 0,
            cycles: 1,
            interval_seconds: 5,
            retention_days: RETENTION_DAYS,
            sqlite_mode: SqliteMode::default(),
            verify_every: 0,
        }
    }
}

/// The sidecar's work directory: it exists while a cycle is running.
const WORK: &str = ".backup-sidecar-partial";
/// A file that exists if the last cycle failed.
const FAILURE: &str = "last-failure";
/// How often the sidecar's state is checked: a small fraction of the shortest cycle.
const POLL: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_secs(86_400);

impl Definition for Sidecar {
    const CARD: Card = Card {
        name: "sidecar",
        summary: "a container beside the application that backs it up at an interval, with its configuration \
                  files, and removes old backups",
        family: Family::Online,
        on: &[
            OnEngine { engine: "mysql", tools: &[], image: Some(&SIDECAR) },
            OnEngine { engine: "sqlite", tools: &[], image: Some(&SIDECAR) },
        ],
        settings: &[
            (
                "aged_backups",
                "number of backups older than the retention time that exist beforehand, plus a newer one: only the \
                 old ones must be removed",
            ),
            ("cycles", "number of complete backups, started after the call, that the backup waits for"),
            ("interval_seconds", "from the start of one backup to the start of the next"),
            ("retention_days", "older backups are removed"),
            SQLITE_MODE,
            (
                "verify_every",
                "1: each backup is restored in a scratch place and compared before it is stored; N: each Nth; 0: none",
            ),
        ],
        cost: Cost { backup: 6.0, restore: 15.0, artifact: 1.0 },
    };

    fn validate(&self) -> Result<(), String> {
        let limits = [
            ("aged_backups", self.aged_backups, 0, 1000),
            ("cycles", self.cycles, 1, 1000),
            ("interval_seconds", self.interval_seconds, 1, 86_400),
            ("retention_days", self.retention_days, 1, 3650),
            ("verify_every", self.verify_every, 0, 1000),
        ];
        match limits.iter().find(|(_, value, least, most)| value < least || value > most) {
            Some((name, _, least, most)) => Err(format!("{name} must be from {least} to {most}")),
            None => Ok(()),
        }
    }
}

impl Strategy for Sidecar {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent, with the configuration files; keeps every write acknowledged before the last \
                   complete backup began; blocks writers only while dumping or copying SQLite in delete mode",
            keeps: Keeps::Earlier,
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            continuous: Some(self),
            retention: Some(self),
            takes_configuration: true,
            ..Abilities::default()
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let replication: &dyn Replication = context.take_replication()?;
        let is_file = kinds(context)[0] == "sqlite";
        if is_file && self.sqlite_mode.restarts(context.subject.data()) {
            context.watch.expect_unreported_restarts();
        }
        let copies = is_file && self.sqlite_mode != SqliteMode::Dump;
        // The compressed size of a dump is unknown.
        let copied_bytes = copies.then_some(context.database_bytes);
        let mut outcome = Cycle::awaited(context, replication, copied_bytes).follow(context, replication)?;
        for _ in 1..self.cycles {
            outcome = Cycle::awaited(context, replication, copied_bytes).follow(context, replication)?;
        }
        match check_aged(context.destination, self) {
            Ok(()) => Ok(outcome),
            Err(message) => Err(StrategyFailure {
                cause: FailureCause::Failed(message),
                measured: Box::new(outcome.measured),
            }),
        }
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        restore(context)
    }
}

impl Continuous for Sidecar {
    fn start(&self, context: &mut BackupContext<'_>) -> Result<Box<dyn Replication>, StrategyFailure> {
        make_aged(context.destination, kinds(context)[0], self)?;
        let aged = artifacts(context.destination);
        let settings = Loop {
            interval_seconds: self.interval_seconds,
            retention_days: self.retention_days,
            verify_every: self.verify_every,
        };
        let spec = looping(context, self.sqlite_mode, settings)?;
        let container = Container::start(context.watch.launcher(), Account::Strategy, spec)?;
        // Wait until the first cycle is running or has finished, so that it does not count as one started after the
        // call.
        let destination = context.destination;
        context.watch.wait_until(&mut || {
            if !container.is_running() {
                return Err(format!("the sidecar ended: {}", container.last_words()));
            }
            let begun = destination.join(WORK).exists() || destination.join(FAILURE).exists();
            Ok(begun || artifacts(destination) != aged)
        })?;
        Ok(Box::new(container))
    }
}

impl Retention for Sidecar {
    fn newest_bytes(&self, artifact: &Path) -> u64 {
        let all = artifacts(artifact);
        let newest = |kind: &str| all.iter().rfind(|path| is_of(path, kind));
        let newest = ["config", "mysql", "sqlite"].into_iter().filter_map(newest);
        newest.map(|path| storage::bytes(path)).sum()
    }
}

/// The next cycle of the sidecar's loop that starts from now on.
struct Cycle {
    /// Expected size of its copy of the database in bytes, if it makes one.
    copied_bytes: Option<u64>,
    /// An earlier cycle may still be running.
    after_another: bool,
    /// The last moment at which it had certainly not begun.
    idle_ns: u64,
    /// When it began, at the earliest; `None` until then.
    began_ns: Option<u64>,
    /// The artifacts that existed when it began.
    before: BTreeSet<PathBuf>,
    /// From when its resources are counted: its beginning, or until then the beginning of the wait for it.
    since_ns: u64,
    /// Resources that the sidecar had used until then.
    counters: Counters,
}

impl Cycle {
    fn awaited(
        context: &mut BackupContext<'_>,
        replication: &dyn Replication,
        copied_bytes: Option<u64>,
    ) -> Cycle {
        anew(context, copied_bytes);
        let now_ns = context.watch.now_ns();
        Cycle {
            copied_bytes,
            after_another: true,
            idle_ns: now_ns,
            began_ns: None,
            before: BTreeSet::new(),
            since_ns: now_ns,
            counters: used_by(replication),
        }
    }

    /// Waits for the beginning and the end of the cycle.
    fn follow(mut self, context: &mut BackupContext<'_>, replication: &dyn Replication) -> BackupResult {
        let ended = self.wait(context, replication);
        // Also after a failure.
        let used = used_by(replication).since(&self.counters);
        let running = Duration::from_nanos(context.watch.now_ns() - self.since_ns);
        let measured =
            Measured { began_ns: self.began_ns, ..context.watch.measured_of_replication(used, running) };
        match ended {
            Ok(durable_ns) => Ok(BackupOutcome { durable_ns, measured }),
            Err(failure) => Err(StrategyFailure { measured: Box::new(measured), ..failure }),
        }
    }

    /// Returns when its artifacts were durable: it makes them durable before it ends. Waiting for the interval to pass
    /// is not a stall; an earlier cycle that does not end is one.
    fn wait(
        &mut self,
        context: &mut BackupContext<'_>,
        replication: &dyn Replication,
    ) -> Result<u64, StrategyFailure> {
        let (work, failure) = (context.destination.join(WORK), context.destination.join(FAILURE));
        let mut copied_bytes = self.copied_bytes;
        loop {
            let looked_ns = context.watch.now_ns();
            let works = work.exists();
            if let Some(ended) = replication.ended() {
                return Err(context.watch.failed(ended));
            }
            if !works && failure.exists() {
                let said = replication.last_lines();
                return Err(context.watch.failed(format!("a cycle of the sidecar failed: {said}")));
            }
            match (works, self.began_ns) {
                (false, Some(_)) => {
                    let complete = left_all(context, &self.before);
                    return complete.map(|()| looked_ns).map_err(|message| context.watch.failed(message));
                }
                (false, None) => {
                    (self.after_another, self.idle_ns) = (false, looked_ns);
                    anew(context, None);
                }
                (true, None) if !self.after_another => {
                    self.before = artifacts(context.destination);
                    self.since_ns = context.watch.now_ns();
                    self.counters = used_by(replication);
                    self.began_ns = Some(self.idle_ns);
                    copied_bytes = self.copied_bytes;
                    anew(context, copied_bytes);
                }
                (true, _) => {}
            }
            if copied_bytes.is_some() && context.watch.furthest() == Some(1.0) {
                // After the copy, the cycle checks and compresses it.
                copied_bytes = None;
                anew(context, None);
            }
            context.watch.pause(POLL)?;
        }
    }
}

fn used_by(replication: &dyn Replication) -> Counters {
    replication.counters().unwrap_or(Counters::UNKNOWN)
}

/// Watches another part of a cycle, whose files are created among the artifacts.
fn anew(context: &mut BackupContext<'_>, expected_bytes: Option<u64>) {
    context.watch.begin_part(vec![context.destination.to_owned()], expected_bytes);
}

/// Checks that a finished cycle is complete: it has left an artifact of each kind.
fn left_all(context: &BackupContext<'_>, before: &BTreeSet<PathBuf>) -> Result<(), String> {
    let now = artifacts(context.destination);
    for kind in kinds(context) {
        if !now.difference(before).any(|path| is_of(path, kind)) {
            return Err(format!("a cycle of the sidecar ended without a {kind} artifact"));
        }
    }
    Ok(())
}

fn artifacts(destination: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(destination).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect()
}

fn is_of(path: &Path, kind: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{kind}-")))
}

/// Creates backups that look old by name and time. Their content is never read.
fn make_aged(destination: &Path, kind: &str, settings: &Sidecar) -> Result<()> {
    let ending = if kind == "mysql" { "sql" } else { "tar" };
    let kept = DAY * settings.retention_days;
    let expired = (1..=settings.aged_backups).map(|days| kept + DAY * days);
    for age in expired.chain((settings.aged_backups > 0).then_some(kept / 2)) {
        let at = SystemTime::now() - age;
        let stamp = Timestamp::try_from(at).expect("the clock is in range").strftime("%Y%m%dT%H%M%S");
        let path = destination.join(format!("{kind}-{stamp}.000000000Z.{ending}.zst"));
        let made = std::fs::File::create_new(&path).and_then(|file| file.set_modified(at));
        made.map_err(|error| Error::Environment(format!("cannot create {}: {error}", path.display())))?;
    }
    Ok(())
}

/// Fails when a backup beyond the retention time still exists, or when the newer one was removed.
fn check_aged(destination: &Path, settings: &Sidecar) -> Result<(), String> {
    if settings.aged_backups == 0 {
        return Ok(());
    }
    let kept = DAY * settings.retention_days;
    let ages: Vec<Duration> = artifacts(destination)
        .iter()
        .filter_map(|path| path.metadata().and_then(|file| file.modified()).ok()?.elapsed().ok())
        .collect();
    let expired = ages.iter().filter(|age| **age > kept).count();
    if expired > 0 {
        return Err(format!("{expired} backups older than the retention time were not removed"));
    }
    if !ages.iter().any(|age| *age > kept / 4) {
        return Err("a backup newer than the retention time was removed".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Settings;
    use crate::contract::configured::parse;

    fn refused(name: &str, value: u32) -> String {
        let settings = Settings::from_iter([(name.to_owned(), value.into())]);
        parse::<Sidecar>(&settings).err().unwrap()
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let messages =
            [refused("cycles", 0), refused("interval_seconds", 0), refused("retention_days", 4000)];
        insta::assert_snapshot!(messages.join("\n"), @"
        cycles must be from 1 to 1000
        interval_seconds must be from 1 to 86400
        retention_days must be from 1 to 3650
        ");
    }

    #[test]
    fn an_artifact_is_the_newest_backup_alone() {
        let directory = tempfile::tempdir().unwrap();
        let files = [
            ("sqlite-20260101T000000.000000000Z.tar.zst", 1),
            ("sqlite-20260102T000000.000000000Z.tar.zst", 10),
            ("config-20260102T000000.000000000Z.tar.zst", 100),
            ("last-failure", 1000),
        ];
        for (name, bytes) in files {
            std::fs::write(directory.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(Sidecar::default().newest_bytes(directory.path()), 110);
    }

    #[test]
    fn a_retention_that_removes_too_little_or_too_much_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let settings = Sidecar { aged_backups: 3, retention_days: 2, ..Sidecar::default() };
        let checked = || check_aged(at, &settings).err().unwrap_or_default();
        make_aged(at, "sqlite", &settings).unwrap();
        assert_eq!(artifacts(at).len(), 4);
        assert_eq!(checked(), "3 backups older than the retention time were not removed");
        let (young, expired): (Vec<PathBuf>, Vec<PathBuf>) = artifacts(at)
            .into_iter()
            .partition(|path| path.metadata().unwrap().modified().unwrap().elapsed().unwrap() < DAY * 2);
        expired.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        std::fs::write(at.join("sqlite-new.tar.zst"), "").unwrap();
        assert_eq!(checked(), "");
        std::fs::remove_file(&young[0]).unwrap();
        assert_eq!(checked(), "a backup newer than the retention time was removed");
    }
}
