//! The alerts of the sidecar on trial: its scripts run in their loop, something goes wrong, and what is counted is when
//! somebody is told. Nobody may be told anything while backups succeed.
//!
//! Two listen: a webhook, which gets the alerts, and a monitor, which expects a ping at each interval and raises its own
//! alarm when none comes.

mod listener;
mod troubles;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytesize::ByteSize;
use engines::files::FileEngine;
use engines::images::write_scripts;
use machine::error::{Error, Result};
use machine::file_system::TemporaryFileSystem;
use machine::measure::storage;
use machine::process::{Account, Child, Launcher, TICK, is_alive, last_lines};
use model::dataset::{DatasetSpec, TableNames};
use offsite::server::{Line, S3Server};
use strategies::registry;

use crate::fault::{ConfiguredFault, Injected, Scene, Separates};
use listener::{Call, Listener};
pub use troubles::{LEFT_OUT, Trouble, troubles};

/// Size of the database: small, because what is measured is how long until somebody is told.
const DATABASE: ByteSize = ByteSize::mib(8);
/// Size of a separate file system for the backups.
const DISK: ByteSize = ByteSize::mib(384);
/// Longest time until the first backup, until an alert, or until its end.
const LIMIT: Duration = Duration::from_secs(60);
/// Number of cycles on a good day, or under a trouble that backups survive, during which nobody may be told anything.
const CYCLES: usize = 4;
/// A monitor raises its alarm when there was no success for so many intervals.
const MONITOR_INTERVALS: u32 = 3;
const BUCKET: &str = "backups";

/// Who was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The webhook got this alert.
    Alert(String),
    /// The monitor got `/fail`, or no ping.
    Monitor,
}

/// What came of one trouble.
#[derive(Debug)]
pub struct Answer {
    /// The trouble.
    pub trouble: &'static str,
    /// Evidence that it struck.
    pub proof: String,
    /// True when backups went on to succeed.
    pub backups_went_on: bool,
    /// Who was told first, and how long after the strike, in seconds.
    pub told: Option<(Notice, f64)>,
    /// How long after the trouble was over all alerts had ended, in seconds; `None` when one did not end, or no backup
    /// succeeded.
    pub over_after: Option<f64>,
}

impl Answer {
    /// Whether somebody was told exactly when backups did not succeed, and the alarm ended.
    pub fn is_right(&self) -> bool {
        self.backups_went_on == self.told.is_none() && self.over_after.is_some()
    }
}

/// A database and the scripts of the sidecar, for one trouble after the other.
pub struct AlertTrials<'a> {
    launcher: &'a Launcher,
    files: &'static dyn FileEngine,
    source: PathBuf,
    scripts: PathBuf,
    interval: Duration,
}

impl<'a> AlertTrials<'a> {
    /// Makes both in the launcher's work directory. The sidecar makes a backup at each `interval` of whole seconds.
    ///
    /// # Errors
    /// [`Error::Environment`] when the machine refuses something; [`Error::Interrupted`].
    pub fn new(launcher: &'a Launcher, interval: Duration, seed: u64) -> Result<AlertTrials<'a>> {
        let (_, files) = engines::registry::of_files();
        let source = launcher.work_directory().join("source.db");
        let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: DATABASE.0, seed };
        files.generate(&spec, &source, &|| launcher.cancel.is_cancelled(), &mut |_| ())?;
        let scripts = launcher.work_directory().join("scripts");
        std::fs::create_dir(&scripts)
            .and_then(|()| write_scripts(&scripts))
            .context("cannot write scripts")?;
        Ok(AlertTrials { launcher, files, source, scripts, interval })
    }

    /// Lets the sidecar work, lets the trouble strike, waits until somebody is told or enough backups have succeeded, ends
    /// the trouble, and waits until everything is well.
    ///
    /// # Errors
    /// [`Error::Environment`] when the sidecar does not work before the trouble, or the machine refuses something;
    /// [`Error::Interrupted`].
    pub fn run(&self, trouble: &Trouble) -> Result<Answer> {
        let place = self.launcher.work_directory().join(format!("trial-{}", trouble.name));
        std::fs::create_dir(&place).context("cannot make a directory for a trial")?;
        let live = place.join("data").join("live.db");
        std::fs::create_dir(place.join("data"))
            .and_then(|()| std::fs::copy(&self.source, &live))
            .context("cannot copy the database")?;
        let separate = match trouble.separates() {
            Separates::Nothing => None,
            Separates::Destination(kind) | Separates::Everything(kind) => {
                let name = format!("backups-{}", trouble.name);
                Some(TemporaryFileSystem::make(kind, self.launcher, &name, DISK.0)?)
            }
        };
        let backups = separate.as_ref().map_or(&*place, TemporaryFileSystem::point).join("backups");
        std::fs::create_dir(&backups).context("cannot make a directory for backups")?;
        let server_directory = place.join("server");
        std::fs::create_dir(&server_directory).context("cannot make a directory for a server")?;
        let server = S3Server::start(self.launcher, Account::Harness, &server_directory, &[BUCKET])?;
        let address = server.endpoint().trim_start_matches("http://");
        let line = Line::to(address.parse().context("a server has no address")?)?;
        let strategy = registry::named("sidecar")?.with_defaults();
        let scene = Scene {
            launcher: self.launcher,
            strategy: &strategy,
            random: 0,
            database: self.files.database(&live),
            table: TableNames::TRACKER.torrents,
            artifact: backups.clone(),
            previous_bytes: None,
            separate: separate.as_ref(),
            lost: place.join("lost"),
            restored: place.join("restored"),
        };
        let bench = Bench {
            trials: self,
            listener: Listener::start()?,
            live,
            log: place.join("sidecar.log"),
            server: &server,
            line,
            scene,
        };
        let answer = bench.run(trouble);
        self.launcher.kill_all(Account::Strategy);
        answer
    }
}

/// One trial.
struct Bench<'a> {
    trials: &'a AlertTrials<'a>,
    listener: Listener,
    live: PathBuf,
    log: PathBuf,
    server: &'a S3Server,
    /// The line to the server.
    line: Line,
    scene: Scene<'a>,
}

impl Bench<'_> {
    fn run(mut self, trouble: &Trouble) -> Result<Answer> {
        let prepared = trouble.prepare(&self.scene)?;
        let sidecar = self.start()?;
        self.wait("no backup succeeded before the trouble", |bench| {
            bench.successes(bench.listener.began()) >= 2
        })?;
        drop(prepared);
        self.scene.previous_bytes = self.newest_backup_bytes();
        // A copy of the scene's values, because the trouble borrows them while the trial goes on.
        let bench = &self;
        let struck = Instant::now();
        let injected = trouble.strike(bench)?;
        let mut sidecar = if trouble.restarts { bench.start_again(sidecar)? } else { sidecar };
        let told = bench.watch(struck)?;
        let backups_went_on = bench.successes(struck) > 0 && told.is_none();
        let healed = Instant::now();
        (injected.heal)()?;
        if trouble.restarts || !is_alive(sidecar.pid()) {
            sidecar = bench.start_again(sidecar)?;
        }
        let is_over =
            bench.wait("", |bench| bench.successes(healed) > 0 && bench.listener.firing().is_empty());
        let over_after = match is_over {
            Ok(()) => Some(healed.elapsed().as_secs_f64()),
            Err(Error::Environment(_)) => None,
            Err(error) => return Err(error),
        };
        drop(sidecar);
        Ok(Answer { trouble: trouble.name, proof: injected.proof, backups_went_on, told, over_after })
    }

    fn start(&self) -> Result<Child> {
        let mut command = Command::new(self.trials.scripts.join("backup.sh"));
        let log = File::options().create(true).append(true).open(&self.log).context("cannot make a log")?;
        let errors = log.try_clone().context("cannot make a log")?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir("/");
        // The user's own destinations and credentials have nothing to do with a trial.
        let is_foreign = |name: &str| ["AWS_", "RCLONE_"].iter().any(|prefix| name.starts_with(prefix));
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            if is_foreign(&name) {
                command.env_remove(name);
            }
        }
        let seconds = self.trials.interval.as_secs().to_string();
        let listener = self.listener.address();
        command
            .env("BACKUP_ATTEMPTS", "1")
            .env("BACKUP_DIR", &self.scene.artifact)
            .env("BACKUP_INTERVAL", seconds)
            .env("BACKUP_MODE", "loop")
            .env("SQLITE_DATABASE", &self.live)
            .env("FREE_PERCENT_MIN", "0")
            .env("VERIFY_EVERY", "1")
            .env("KEEP_LAST", "2")
            .env("ALERT_WEBHOOK", format!("{listener}/alert"))
            .env("PING_URL", format!("{listener}/ping"))
            // Not a directory of it: this server answers the question for an object with the name of a directory with an
            // internal error, which rclone repeats for seconds. Others answer that there is none.
            .env("DESTINATION", format!("away:{BUCKET}"))
            .env("RCLONE_CONFIG_AWAY_TYPE", "s3")
            .env("RCLONE_CONFIG_AWAY_PROVIDER", "Other")
            .env("RCLONE_CONFIG_AWAY_ENV_AUTH", "true")
            .env("RCLONE_CONFIG_AWAY_REGION", "us-east-1")
            .env("RCLONE_CONFIG_AWAY_ENDPOINT", format!("http://127.0.0.1:{}", self.line.port()))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.server.credentials_file());
        Ok(self.trials.launcher.spawn(Account::Strategy, command)?)
    }

    fn start_again(&self, sidecar: Child) -> Result<Child> {
        self.trials.launcher.kill_all(Account::Strategy);
        drop(sidecar);
        self.start()
    }

    /// Strikes with a fault of the registry as soon as there is something to strike.
    fn strike_with<'s>(&'s self, fault: &ConfiguredFault) -> Result<Injected<'s>> {
        let began = Instant::now();
        loop {
            if let Some(injected) = fault.inject(&self.scene)? {
                return Ok(injected);
            }
            if began.elapsed() > LIMIT {
                return Err(Error::Environment(format!(
                    "the fault '{}' had nothing to strike",
                    fault.label()
                )));
            }
            self.trials.launcher.cancel.sleep_until(Instant::now() + Duration::from_millis(1))?;
        }
    }

    /// Waits until something is so.
    fn wait(&self, failure: &str, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !is_so(self) {
            if began.elapsed() > LIMIT {
                let said = last_lines(&self.log);
                return Err(Error::Environment(format!("{failure} within {} s: {said}", LIMIT.as_secs())));
            }
            self.trials.launcher.cancel.sleep_until(Instant::now() + TICK)?;
        }
        Ok(())
    }

    /// Waits until somebody is told, or enough backups have succeeded that began after the strike.
    fn watch(&self, struck: Instant) -> Result<Option<(Notice, f64)>> {
        let began = Instant::now();
        loop {
            if let Some((notice, at)) = self.told(struck) {
                return Ok(Some((notice, (at - struck).as_secs_f64())));
            }
            if self.successes(struck) >= CYCLES || began.elapsed() > LIMIT {
                return Ok(None);
            }
            self.trials.launcher.cancel.sleep_until(Instant::now() + TICK)?;
        }
    }

    fn told(&self, struck: Instant) -> Option<(Notice, Instant)> {
        let calls = self.listener.calls();
        let after = |call: &&Call| call.at > struck;
        let first = calls.iter().filter(after).find_map(|call| match call.path.as_str() {
            "/alert" => Some((Notice::Alert(call.alert()?.name), call.at)),
            "/ping/fail" => Some((Notice::Monitor, call.at)),
            _ => None,
        });
        let last = calls.iter().rev().find(|call| call.path == "/ping").map_or(struck, |call| call.at);
        let missing = last + MONITOR_INTERVALS * self.trials.interval;
        first.or_else(|| (Instant::now() > missing).then_some((Notice::Monitor, missing.max(struck))))
    }

    /// Number of backups that succeeded and began after a moment.
    fn successes(&self, after: Instant) -> usize {
        let calls = self.listener.calls();
        let started = calls.iter().position(|call| call.path == "/ping/start" && call.at > after);
        let since = started.map_or(&[][..], |started| &calls[started..]);
        since.iter().filter(|call| call.path == "/ping").count()
    }

    fn newest_backup_bytes(&self) -> Option<u64> {
        let all = storage::files(&self.scene.artifact);
        let newest = all.iter().filter(|file| file.extension().is_some_and(|end| end == "zst")).max()?;
        Some(storage::bytes(newest))
    }

    /// The path of the live database.
    fn live(&self) -> &Path {
        &self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_when_somebody_was_told_exactly_of_what_went_wrong() {
        let answer = |went_on, told: Option<Notice>, over_after| Answer {
            trouble: "x",
            proof: String::new(),
            backups_went_on: went_on,
            told: told.map(|notice| (notice, 1.0)),
            over_after,
        };
        let alert = || Some(Notice::Alert("backup-failed".into()));
        assert!(answer(true, None, Some(1.0)).is_right());
        assert!(answer(false, alert(), Some(1.0)).is_right());
        assert!(!answer(true, alert(), Some(1.0)).is_right(), "a false alarm");
        assert!(!answer(false, None, Some(1.0)).is_right(), "nobody was told");
        assert!(!answer(false, alert(), None).is_right(), "the alarm did not end");
    }
}
