//! What a power cut takes from a database itself: writes are made one after the other, every state in which a power cut could
//! leave the disk is mounted and recovered, and each is verified against the writes that were acknowledged by then.
//!
//! How much is lost is decided by the settings of the engine: when it waits for the disk.

use std::path::{Path, PathBuf};

use anyhow::Context;
use engines::client::Answer;
use engines::database::{Database, Verify};
use engines::engine::{Engine, Provision, START_TIMEOUT};
use engines::images::{self, Image};
use engines::instance::Instance;
use engines::secret::Secret;
use engines::source::{Preparation, Source};
use engines::subject_section::SubjectSection;
use machine::container::Network;
use machine::error::{Error, Result};
use machine::event::Observer;
use machine::file_system::write_log::{CrashPlan, CrashReplay, CrashState, LogPosition, LoggedFileSystem};
use machine::measure::{calibration, storage};
use machine::process::{Account, Launcher};
use machine::removal;
use model::dataset::{DatasetSpec, OriginalTorrents, original_torrents};
use model::ledger::LedgerWriter;
use model::verify::{Level, Report, Request};
use model::writes::Model;
use reports::record::{Check, Verification};

use super::{FILE_SYSTEM, ROOM_BYTES, missing, one_writer};

/// The directory that ext4 itself makes.
const LOST_AND_FOUND: &str = "lost+found";

/// The states after the writes with one set of settings.
#[derive(Debug, Default)]
pub struct ExaminedSource {
    /// Number of states with every acknowledged write.
    pub right: u64,
    /// Number of states that are right, but of an earlier moment: acknowledged writes are missing.
    pub lost: u64,
    /// The greatest number of acknowledged writes that are missing in one of these.
    pub lost_writes_max: u64,
    /// Number of states that cannot be recovered, or are wrong in any other way.
    pub damaged: u64,
    /// The first of these, and what is wrong with it.
    pub example: Option<String>,
}

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Size of the database in bytes.
    pub bytes: u64,
    /// Random seed of the database, the writes and the subsets.
    pub seed: u64,
    /// Number of writes that are made.
    pub writes: u64,
    /// Number of subsets of what was written between two flushes that are tried.
    pub reorderings: usize,
}

/// A database, and the writes that are made to it.
pub struct SourceExamination<'a> {
    launcher: &'a Launcher,
    engine: &'static dyn Engine,
    image: Option<Image>,
    spec: DatasetSpec,
    original: Box<dyn OriginalTorrents>,
    model: Model,
    source: Source,
    extent: Extent,
}

/// What one state is.
enum Found {
    Right,
    Lost(u64),
    Damaged(String),
}

impl<'a> SourceExamination<'a> {
    /// Makes a database of an engine, in the cache of datasets.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing on this machine; [`Error::Interrupted`].
    pub fn new(
        launcher: &'a Launcher,
        engine: &'static dyn Engine,
        cache: &Path,
        extent: Extent,
        observer: Observer<'_>,
    ) -> Result<SourceExamination<'a>> {
        if let Some(missing) = missing() {
            return Err(Error::Environment(format!(
                "the states after a power cut cannot be made: {missing}"
            )));
        }
        let image = engine.image().map(|kind| images::obtain(kind, None, launcher, observer)).transpose()?;
        let spec =
            DatasetSpec { profile: "torrust-demo".into(), target_bytes: extent.bytes, seed: extent.seed };
        let settings = SubjectSection::default().settings;
        let preparation =
            Preparation { launcher, cache, settings: &settings, image: image.as_ref(), observer };
        let source = engine.prepare(&spec, &preparation)?;
        let (original, model) = (original_torrents(&spec)?, one_writer(&spec)?);
        Ok(SourceExamination { launcher, engine, image, spec, original, model, source, extent })
    }

    /// Makes the writes with the settings of a scenario's section `subject`, and examines every state that a power cut
    /// could leave from the first answer to the last.
    ///
    /// # Errors
    /// [`Error::Environment`] when a write is not acknowledged, or the machine refuses something; [`Error::Interrupted`].
    pub fn examine(&self, subject: &SubjectSection) -> Result<ExaminedSource> {
        let bytes = 4 * self.source.bytes + ROOM_BYTES;
        let disk = LoggedFileSystem::make(FILE_SYSTEM, self.launcher, "database", bytes)?;
        let data = self.engine.data(disk.point());
        calibration::duplicate(self.launcher, &self.source.database, &data)?;
        let mode = subject.modes_of(self.engine).first().copied().flatten();
        mode.map_or(Ok(()), |mode| self.engine.set_mode(&data, mode))?;
        storage::sync_tree(disk.point()).context("cannot make the database durable")?;
        let artifact = self.launcher.work_directory().join("artifact");
        std::fs::create_dir_all(&artifact).context("cannot make a directory for the database")?;
        let mut instance = self.engine.provision(Provision {
            launcher: self.launcher,
            settings: &subject.settings,
            mode,
            image: self.image.as_ref(),
            data,
            run_directory: self.launcher.work_directory().join("run"),
            artifact,
            password: Secret::random()?,
            is_live: false,
            network: Network::Bridge,
            account: Account::Subject,
            start_timeout: START_TIMEOUT,
        })?;
        instance.start()?;
        let answers = self.write(instance.as_ref(), &disk)?;
        instance.kill();
        drop(instance);
        let log = disk.finish()?;
        let plan = CrashPlan {
            seed: self.spec.seed,
            reorderings_per_interval: self.extent.reorderings,
            from: answers.first().copied().unwrap_or_default(),
            until: answers.last().copied(),
            markers: answers.clone(),
        };
        let mut replay = CrashReplay::make(&log, self.launcher, "state")?;
        let mut examined = ExaminedSource::default();
        for state in log.crash_states(plan) {
            self.launcher.cancel.check()?;
            let answered = answers.iter().filter(|answer| state.can_follow(**answer)).count() as u64;
            let found = self.found(replay.mount(&state)?.point(), answered, subject)?;
            examined.add(&state, found);
        }
        Ok(examined)
    }

    /// Makes the writes. Returns the moment at which each was acknowledged.
    fn write(&self, instance: &dyn Instance, disk: &LoggedFileSystem) -> Result<Vec<LogPosition>> {
        let access = instance.access();
        let client = access.connect(&self.model, self.original.as_ref())?;
        let mut session = client.session()?;
        let mut answers = Vec::new();
        for index in 0..self.extent.writes {
            let answer = session.write(0, index);
            if answer != Answer::Acknowledged {
                return Err(Error::Environment(format!("write {index} was not acknowledged")));
            }
            answers.push(disk.position()?);
        }
        session.close()?;
        client.close()?;
        Ok(answers)
    }

    /// Recovers and verifies the database in a state in which `answered` writes had been acknowledged.
    fn found(&self, state: &Path, answered: u64, subject: &SubjectSection) -> Result<Found> {
        let scratch = self.launcher.work_directory().join("recovered");
        std::fs::create_dir(&scratch).context("cannot make a directory for a recovery")?;
        for entry in std::fs::read_dir(state).context("cannot read a state")?.flatten() {
            if entry.file_name() != LOST_AND_FOUND {
                calibration::duplicate(self.launcher, &entry.path(), &scratch.join(entry.file_name()))?;
            }
        }
        let found = self.verified(&scratch, answered, subject);
        removal::remove(&scratch).map_err(|left| Error::Environment(left.to_string()))?;
        found
    }

    fn verified(&self, directory: &Path, answered: u64, subject: &SubjectSection) -> Result<Found> {
        let data = self.engine.data(directory);
        if !data.exists() {
            return Ok(Found::Damaged("there is no database".into()));
        }
        let kept = self.engine.kept(&subject.settings, self.image.as_ref());
        let mut instance = self.engine.reopen(self.launcher, data, kept.as_ref())?;
        match instance.recover().and_then(|()| write_nothing(instance.as_ref())) {
            Ok(()) => {}
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => return Ok(Found::Damaged(error.to_string())),
        }
        let ledger = directory.join("ledger");
        self.enter(&ledger, answered).context("cannot write a ledger")?;
        let database = Database { engine: self.engine, access: instance.access() };
        let request = self.request(database, ledger);
        let report = self.launcher.work(
            Account::Harness,
            &Verify { request, dataset: self.spec.clone() },
            &mut |_| {},
        );
        match report {
            Ok(report) => Ok(found(&report)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => Ok(Found::Damaged(error.to_string())),
        }
    }

    /// Writes the ledger of a moment at which `answered` writes had been acknowledged, and the next one was on its way.
    fn enter(&self, directory: &Path, answered: u64) -> std::io::Result<()> {
        std::fs::create_dir(directory)?;
        let mut ledger = LedgerWriter::open(directory, 0)?;
        // Any moments in the right order.
        let mut moments = 1..;
        let mut moment = || moments.next().expect("there is no end");
        for _ in 0..answered {
            ledger.send(moment(), moment())?;
            ledger.acknowledge(moment());
        }
        if answered < self.extent.writes {
            ledger.send(moment(), moment())?;
        }
        Ok(())
    }

    fn request(&self, database: Database, ledger: PathBuf) -> Request<Database> {
        let end = u64::MAX - 1;
        Request {
            database,
            ledger,
            model: self.model.clone(),
            expected: self.source.content.clone(),
            integrity: Level::Full,
            keep_acknowledged_before_ns: Some(end),
            lack_sent_after_ns: None,
            without_never_completed: false,
            backup_completed_ns: None,
            disaster_ns: end,
            never_written: Vec::new(),
        }
    }
}

impl ExaminedSource {
    fn add(&mut self, state: &CrashState, found: Found) {
        match found {
            Found::Right => self.right += 1,
            Found::Lost(writes) => {
                self.lost += 1;
                self.lost_writes_max = self.lost_writes_max.max(writes);
            }
            Found::Damaged(wrong) => {
                self.damaged += 1;
                self.example.get_or_insert_with(|| format!("{state}: {wrong}"));
            }
        }
    }
}

/// Writes to the database without changing it. A journal from before the power cut that has nothing to roll back stays until
/// the next write.
fn write_nothing(instance: &dyn Instance) -> Result<()> {
    let access = instance.access();
    let mut client = access.another_client()?;
    Ok(client("UPDATE torrents SET completed = completed WHERE id = 1")?)
}

/// What a report of the verifier says.
fn found(report: &Report) -> Found {
    let Verification { integrity, prefix, order, transactions, content, loss, findings, .. } =
        &report.verification;
    let consistent = [integrity, prefix, order, transactions, content];
    let wrong = || findings.first().cloned().unwrap_or_else(|| "a check could not be completed".into());
    if consistent.iter().any(|check| **check != Some(Check::Pass)) {
        return Found::Damaged(wrong());
    }
    match (loss, &report.recovery_point) {
        (Some(Check::Pass), _) => Found::Right,
        (Some(Check::Fail), Some(point)) => Found::Lost(point.lost_writes),
        _ => Found::Damaged(wrong()),
    }
}
