//! The alerts of the sidecar on trial: its scripts run in their loop, something goes wrong, and what is counted is when
//! somebody is told. Nobody may be told anything while backups succeed.
//!
//! Two listen: a webhook, which gets the alerts, and a monitor, which expects a ping at each interval and raises its own
//! alarm when none comes.

mod bench;
mod listener;
mod troubles;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytesize::ByteSize;
use engines::database::Database;
use engines::engine::{Engine, Provision, START_TIMEOUT};
use engines::images::{self, Image, write_scripts};
use engines::instance::Instance;
use engines::secret::Secret;
use engines::source::{Preparation, Source};
use engines::subject_section::SubjectSection;
use machine::container::Network;
use machine::error::{Error, Result};
use machine::event::Observer;
use machine::file_system::TemporaryFileSystem;
use machine::measure::calibration;
use machine::process::{Account, Launcher, is_alive};
use machine::removal;
use model::dataset::{DatasetSpec, TableNames};
use offsite::server::{Line, S3Server};
use strategies::contract::ConfiguredStrategy;
use strategies::registry;
use strategies::sidecar_container::on_this_machine;

use crate::fault::{Scene, Separates};
pub use bench::Notice;
use bench::{BUCKET, Bench};
use listener::Listener;
pub use troubles::{Trouble, left_out, troubles};

/// Size of the database: small, because what is measured is how long until somebody is told.
const DATABASE: ByteSize = ByteSize::mib(8);
/// Size of a separate file system for the backups.
const DISK: ByteSize = ByteSize::mib(384);

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
    engine: &'static dyn Engine,
    image: Option<Image>,
    source: Source,
    scripts: PathBuf,
    interval: Duration,
}

impl<'a> AlertTrials<'a> {
    /// Makes both: the database in the cache of datasets, the scripts in the launcher's work directory. The sidecar makes a
    /// backup at each `interval` of whole seconds.
    ///
    /// # Errors
    /// [`Error::Environment`] when the machine refuses something; [`Error::Interrupted`].
    pub fn new(
        launcher: &'a Launcher,
        engine: &'static dyn Engine,
        cache: &Path,
        interval: Duration,
        seed: u64,
        observer: Observer<'_>,
    ) -> Result<AlertTrials<'a>> {
        let image = engine.image().map(|kind| images::obtain(kind, None, launcher, observer)).transpose()?;
        let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: DATABASE.0, seed };
        let settings = SubjectSection::default().settings;
        let preparation =
            Preparation { launcher, cache, settings: &settings, image: image.as_ref(), observer };
        let source = engine.prepare(&spec, &preparation)?;
        let scripts = launcher.work_directory().join("scripts");
        std::fs::create_dir(&scripts)
            .and_then(|()| write_scripts(&scripts))
            .context("cannot write scripts")?;
        Ok(AlertTrials { launcher, engine, image, source, scripts, interval })
    }

    /// A copy of the database in this place, running.
    fn database(&self, place: &Path) -> Result<Box<dyn Instance>> {
        let make = |name: &str| {
            let directory = place.join(name);
            std::fs::create_dir(&directory).context("cannot make a directory for the database")?;
            Ok::<_, Error>(directory)
        };
        let data = self.engine.data(&make("data")?);
        calibration::duplicate(self.launcher, &self.source.database, &data)?;
        let subject = SubjectSection::default();
        let mode = subject.modes_of(self.engine).first().copied().flatten();
        mode.map_or(Ok(()), |mode| self.engine.set_mode(&data, mode))?;
        let mut database = self.engine.provision(Provision {
            launcher: self.launcher,
            settings: &subject.settings,
            mode,
            image: self.image.as_ref(),
            data,
            run_directory: make("run")?,
            artifact: make("artifact")?,
            password: Secret::random()?,
            is_live: false,
            network: Network::Bridge,
            account: Account::Subject,
            start_timeout: START_TIMEOUT,
        })?;
        database.start()?;
        Ok(database)
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
        let answer = self.run_in(&place, trouble)?;
        // The server in it has ended.
        removal::remove(&place).map_err(|left| Error::Environment(left.to_string()))?;
        Ok(answer)
    }

    fn run_in(&self, place: &Path, trouble: &Trouble) -> Result<Answer> {
        let mut database = self.database(place)?;
        let separate = match trouble.separates() {
            Separates::Nothing => None,
            Separates::Destination(kind) | Separates::Everything(kind) => {
                let name = format!("backups-{}", trouble.name);
                Some(TemporaryFileSystem::make(kind, self.launcher, &name, DISK.0)?)
            }
        };
        let backups = separate.as_ref().map_or(place, TemporaryFileSystem::point).join("backups");
        std::fs::create_dir(&backups).context("cannot make a directory for backups")?;
        let server_directory = place.join("server");
        std::fs::create_dir(&server_directory).context("cannot make a directory for a server")?;
        let server = S3Server::start(self.launcher, Account::Harness, &server_directory, &[BUCKET])?;
        let address = server.endpoint().trim_start_matches("http://");
        let line = Line::to(address.parse().context("a server has no address")?)?;
        let strategy = sidecar()?;
        let scene = Scene {
            launcher: self.launcher,
            strategy: &strategy,
            random: 0,
            database: Database { engine: self.engine, access: database.access() },
            table: TableNames::TRACKER.torrents,
            artifact: backups.clone(),
            previous_bytes: None,
            separate: separate.as_ref(),
            lost: place.join("lost"),
            restored: place.join("restored"),
            line: None,
            another_backup: None,
        };
        let bench = Bench {
            scripts: &self.scripts,
            interval: self.interval,
            listener: Listener::start()?,
            data: database.data().to_owned(),
            source: on_this_machine(&*database)?,
            log: place.join("sidecar.log"),
            server: &server,
            line,
            scene,
        };
        let answer = strike(bench, trouble, &mut *database);
        self.launcher.kill_all(Account::Strategy);
        answer
    }
}

/// Lets the trouble strike a sidecar at work, and its end.
fn strike(mut bench: Bench<'_>, trouble: &Trouble, database: &mut dyn Instance) -> Result<Answer> {
    let prepared = trouble.prepare(&bench.scene)?;
    let sidecar = bench.start()?;
    bench.wait("no backup succeeded before the trouble", |bench| {
        bench.successes(bench.listener.began()) >= 2
    })?;
    drop(prepared);
    bench.scene.previous_bytes = bench.newest_backup_bytes();
    // Nothing of it changes while the trouble borrows it.
    let bench = &bench;
    let struck = Instant::now();
    let injected = trouble.strike(bench)?;
    let mut sidecar = if trouble.restarts { bench.start_again(sidecar)? } else { sidecar };
    let told = bench.watch(struck)?;
    let backups_went_on = bench.successes(struck) > 0 && told.is_none();
    if trouble.stops_database() {
        database.kill();
        database.start()?;
    }
    let healed = Instant::now();
    (injected.heal)()?;
    if trouble.restarts || !is_alive(sidecar.pid()) {
        sidecar = bench.start_again(sidecar)?;
    }
    let is_over = bench.wait("", |bench| bench.successes(healed) > 0 && bench.listener.firing().is_empty());
    let over_after = match is_over {
        Ok(()) => Some(healed.elapsed().as_secs_f64()),
        Err(Error::Environment(_)) => None,
        Err(error) => return Err(error),
    };
    drop(sidecar);
    Ok(Answer { trouble: trouble.name, proof: injected.proof, backups_went_on, told, over_after })
}

/// The strategy whose scripts these are: the only one that works continuously and takes configuration files.
fn sidecar() -> Result<ConfiguredStrategy> {
    let mut all = registry::all().iter().map(|strategy| strategy.with_defaults());
    let is_it = |strategy: &ConfiguredStrategy| {
        let abilities = strategy.abilities();
        abilities.continuous.is_some() && abilities.takes_configuration
    };
    let found = all.find(is_it);
    found.ok_or_else(|| Error::Bug(anyhow::anyhow!("no strategy runs the sidecar")))
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
