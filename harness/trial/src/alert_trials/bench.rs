//! A sidecar at work, and those who listen to it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::measure::storage;
use machine::process::{Account, Child, TICK, last_lines};
use offsite::server::{Line, S3Server};

use super::listener::{Call, Listener};
use crate::fault::{ConfiguredFault, Injected, Scene};

/// Longest time until the first backup, until an alert, or until its end.
const LIMIT: Duration = Duration::from_secs(60);
/// Number of cycles on a good day, or under a trouble that backups survive, during which nobody may be told anything.
const CYCLES: usize = 4;
/// A monitor raises its alarm when there was no success for so many intervals.
const MONITOR_INTERVALS: u32 = 3;
/// The bucket of the destination.
pub(super) const BUCKET: &str = "backups";

/// Who was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The webhook got this alert.
    Alert(String),
    /// The monitor got `/fail`, or no ping.
    Monitor,
}

/// One trial.
pub(super) struct Bench<'a> {
    pub scripts: &'a Path,
    pub interval: Duration,
    pub listener: Listener,
    /// The data of the live database.
    pub data: PathBuf,
    /// What the scripts are told about it.
    pub source: Vec<(&'static str, OsString)>,
    pub log: PathBuf,
    pub server: &'a S3Server,
    /// The line to the server.
    pub line: Line,
    pub scene: Scene<'a>,
}

impl Bench<'_> {
    pub fn start(&self) -> Result<Child> {
        let mut command = Command::new(self.scripts.join("backup.sh"));
        let log = File::options().create(true).append(true).open(&self.log).context("cannot make a log")?;
        let errors = log.try_clone().context("cannot make a log")?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir("/");
        // The user's own databases, destinations and credentials have nothing to do with a trial.
        let is_foreign = |name: &str| {
            ["AWS_", "MYSQL_", "RCLONE_", "SQLITE_"].iter().any(|prefix| name.starts_with(prefix))
        };
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            if is_foreign(&name) {
                command.env_remove(name);
            }
        }
        let seconds = self.interval.as_secs().to_string();
        let listener = self.listener.address();
        command
            .env("BACKUP_ATTEMPTS", "1")
            .env("BACKUP_DIR", &self.scene.artifact)
            .env("BACKUP_INTERVAL", seconds)
            .env("BACKUP_MODE", "loop")
            .envs(self.source.iter().map(|(name, value)| (name, value)))
            .env("FREE_PERCENT_MIN", "0")
            // A dump can be verified only where the program of a server is installed.
            .env("VERIFY_EVERY", if self.scene.database.engine.files().is_some() { "1" } else { "0" })
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
        Ok(self.scene.launcher.spawn(Account::Strategy, command)?)
    }

    pub fn start_again(&self, sidecar: Child) -> Result<Child> {
        self.scene.launcher.kill_all(Account::Strategy);
        drop(sidecar);
        self.start()
    }

    /// Strikes with a fault of the registry as soon as there is something to strike.
    pub fn strike_with<'s>(&'s self, fault: &ConfiguredFault) -> Result<Injected<'s>> {
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
            self.scene.launcher.cancel.sleep_until(Instant::now() + Duration::from_millis(1))?;
        }
    }

    /// Waits until something is so.
    pub fn wait(&self, failure: &str, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !is_so(self) {
            if began.elapsed() > LIMIT {
                let said = last_lines(&self.log);
                return Err(Error::Environment(format!("{failure} within {} s: {said}", LIMIT.as_secs())));
            }
            self.scene.launcher.cancel.sleep_until(Instant::now() + TICK)?;
        }
        Ok(())
    }

    /// Waits until somebody is told, or enough backups have succeeded that began after the strike.
    pub fn watch(&self, struck: Instant) -> Result<Option<(Notice, f64)>> {
        let began = Instant::now();
        loop {
            if let Some((notice, at)) = self.told(struck) {
                return Ok(Some((notice, (at - struck).as_secs_f64())));
            }
            if self.successes(struck) >= CYCLES || began.elapsed() > LIMIT {
                return Ok(None);
            }
            self.scene.launcher.cancel.sleep_until(Instant::now() + TICK)?;
        }
    }

    pub fn told(&self, struck: Instant) -> Option<(Notice, Instant)> {
        let calls = self.listener.calls();
        let after = |call: &&Call| call.at > struck;
        let first = calls.iter().filter(after).find_map(|call| match call.path.as_str() {
            "/alert" => Some((Notice::Alert(call.alert()?.name), call.at)),
            "/ping/fail" => Some((Notice::Monitor, call.at)),
            _ => None,
        });
        let last = calls.iter().rev().find(|call| call.path == "/ping").map_or(struck, |call| call.at);
        let missing = last + MONITOR_INTERVALS * self.interval;
        first.or_else(|| (Instant::now() > missing).then_some((Notice::Monitor, missing.max(struck))))
    }

    /// Number of backups that succeeded and began after a moment.
    pub fn successes(&self, after: Instant) -> usize {
        let calls = self.listener.calls();
        let started = calls.iter().position(|call| call.path == "/ping/start" && call.at > after);
        let since = started.map_or(&[][..], |started| &calls[started..]);
        since.iter().filter(|call| call.path == "/ping").count()
    }

    pub fn newest_backup_bytes(&self) -> Option<u64> {
        let all = storage::files(&self.scene.artifact);
        let newest = all.iter().filter(|file| file.extension().is_some_and(|end| end == "zst")).max()?;
        Some(storage::bytes(newest))
    }
}
