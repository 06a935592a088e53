//! One trial, from an empty directory to its record.

mod record;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use reports::record::Trial;

use crate::error::{Error, Result};
use crate::event::Observer;
use crate::measure::clock::{now_ns, seconds_between};
use crate::measure::impact::Span;
use crate::measure::sampler::{self, Board, Sampled};
use crate::measure::{calibration, storage};
use crate::plan::{TrialPlan, stall_seconds};
use crate::process::{Account, Cancel, Counters, Launcher};
use crate::scenario::Scenario;
use crate::strategy::watch::{Halt, Watch};
use crate::strategy::{self, BackupContext, RestoreContext, Strategy};
use crate::subject::{EmbeddedSqlite, Subject};
use crate::verify::{self, ContentDigest};
use crate::worker::Job;
use crate::workload::embedded::{Application, Task};

/// A dataset that is ready for trials.
pub struct Source {
    /// The database, never written to.
    pub database: PathBuf,
    /// Rows of all its tables.
    pub rows: u64,
    /// What the rows that no workload touches come to.
    pub content: ContentDigest,
}

/// What a trial runs with.
pub struct Site<'a> {
    /// Its dataset.
    pub source: &'a Source,
    /// An empty directory of its own.
    pub directory: &'a Path,
    /// The user's wish to stop.
    pub cancel: &'a Cancel,
    /// Who is told what happens.
    pub observer: Observer<'a>,
}

/// The first write is due this long after the application was started.
const LEAD_NS: u64 = 200_000_000;
/// Writes settle for this long before the reference window begins.
const SETTLE: Duration = Duration::from_millis(500);

/// Runs one trial:
///
/// 1. provision: the subject started on a copy of the dataset, ledger open;
/// 2. reference: workload alone, the window that the backup window is later held against; then the machine settles:
///    the plain copy that the backup is compared with, caches as the scenario asks;
/// 3. backup: the strategy runs while the workload goes on, watched for progress, stall and deadline;
/// 4. tail: workload goes on, so that what a finished backup lacks can be seen;
/// 5. disaster: the subject killed with SIGKILL, its data directory lost;
/// 6. restore: the strategy builds a data directory from its artifact alone, in an empty place;
/// 7. serve: the subject starts on it and answers a read and a write: the recovery is over;
/// 8. verify: integrity, content, and the ledger;
/// 9. record: everything above.
///
/// A backup that does not succeed ends the trial with what was measured so far.
///
/// # Errors
/// [`Error::Interrupted`], or what went wrong on this machine or in the harness: never what the strategy did.
pub fn run(plan: &TrialPlan, scenario: &Scenario, site: &Site<'_>) -> Result<Trial> {
    let strategy = strategy::named(plan.strategy)?;
    let mut drill = Drill::new(plan, scenario, site, strategy);
    if let Some(missing) = strategy.card().tools.iter().find_map(|tool| tool.missing()) {
        return Ok(drill.unavailable(&missing));
    }
    let (board, sampled) = (drill.board.clone(), drill.sampled());
    sampler::beside(&sampled, &board, site.observer, || {
        let mut subject = drill.provision()?;
        drill.reference(&subject)?;
        if drill.alive() && drill.backup(&mut subject)? {
            drill.tail(&subject)?;
        }
        drill.disaster(&mut subject)?;
        if drill.has_artifact() && drill.restore()? {
            drill.serve()?;
            drill.verify()?;
        }
        drill.record(&subject)
    })
}

/// A trial in progress: what is known so far.
struct Drill<'a> {
    plan: &'a TrialPlan,
    scenario: &'a Scenario,
    site: &'a Site<'a>,
    strategy: &'static dyn Strategy,
    launcher: Launcher,
    board: std::sync::Arc<Board>,
    copy_seconds: Option<f64>,
    cached_share: Option<f64>,
    epoch_ns: u64,
    reference: Span,
    /// The phase in which the application ended by itself.
    died: Option<String>,
    backup: Option<BackupOutcome>,
    disaster_ns: u64,
    restore: Option<RestoreOutcome>,
    verified: Option<verify::Report>,
    /// What the verifier could not do, when it crashed.
    verifier_error: Option<String>,
    harness_before: Counters,
}

struct BackupOutcome {
    span: Span,
    /// When the artifact was durable.
    durable_ns: Option<u64>,
    halt: Option<Halt>,
    watch: Watch,
    artifact_bytes: Option<u64>,
}

struct RestoreOutcome {
    seconds: f64,
    halt: Option<Halt>,
    /// How it served, once it was asked to.
    served: Option<Result<f64, String>>,
}

impl<'a> Drill<'a> {
    fn new(
        plan: &'a TrialPlan,
        scenario: &'a Scenario,
        site: &'a Site<'a>,
        strategy: &'static dyn Strategy,
    ) -> Drill<'a> {
        let board = std::sync::Arc::new(Board::start());
        board.enter("provision");
        Drill {
            plan,
            scenario,
            site,
            strategy,
            launcher: Launcher::new(site.directory, site.cancel),
            board,
            copy_seconds: None,
            cached_share: None,
            epoch_ns: 0,
            reference: Span { from_ns: 0, to_ns: 0 },
            died: None,
            backup: None,
            disaster_ns: 0,
            restore: None,
            verified: None,
            verifier_error: None,
            harness_before: own_counters(),
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.site.directory.join(name)
    }

    fn live_database(&self) -> PathBuf {
        self.place("live").join("database.sqlite")
    }

    fn restored_database(&self) -> PathBuf {
        self.place("restored").join("database.sqlite")
    }

    fn sampled(&self) -> Sampled {
        Sampled {
            launcher: self.launcher.clone(),
            database: self.live_database(),
            ledger_directory: self.place("ledger"),
            writers: self.plan.model.writers,
            destination: self.place("artifact"),
        }
    }

    fn application(&self, database: PathBuf) -> Application {
        Application {
            database,
            journal_mode: self.plan.journal_mode,
            synchronous: self.scenario.subject.synchronous,
            busy_timeout_ms: self.scenario.subject.busy_timeout_ms,
            dataset: self.plan.dataset.clone(),
            model: self.plan.model.clone(),
            task: Task::Work {
                load: self.plan.load,
                ledger_directory: self.place("ledger"),
                epoch_ns: self.epoch_ns,
            },
        }
    }

    fn provision(&mut self) -> Result<EmbeddedSqlite> {
        for name in ["live", "ledger", "artifact", "restored", "scratch"] {
            std::fs::create_dir(self.place(name))
                .with_context(|| format!("cannot create {}", self.place(name).display()))?;
        }
        let (source, cache) = (&self.site.source.database, self.scenario.subject.cache);
        let live = self.live_database();
        if !storage::reflink(source, &live).context("cannot copy the dataset")? {
            calibration::copy(&self.launcher, source, &live, cache)?;
        }
        self.epoch_ns = now_ns() + LEAD_NS;
        let mut subject = EmbeddedSqlite::new(&self.launcher, self.application(live));
        subject.start()?;
        self.site.cancel.sleep_until(Instant::now() + SETTLE)?;
        Ok(subject)
    }

    fn reference(&mut self, subject: &EmbeddedSqlite) -> Result<()> {
        let from_ns = self.board.enter("reference");
        self.wait(subject, self.scenario.trial.reference_seconds)?;
        self.reference = Span { from_ns, to_ns: self.board.enter("settle") };
        self.settle(subject)
    }

    /// Makes the plain copy that the backup is compared with, of the same bytes and right before it, and brings the
    /// machine into the same state once more. The copy stays until the backup is over: deleting it would give the
    /// backup memory and disk that the copy did not have.
    fn settle(&mut self, subject: &EmbeddedSqlite) -> Result<()> {
        let (source, cache) = (&self.site.source.database, self.scenario.subject.cache);
        let copy = self.place("scratch").join("copy");
        self.copy_seconds = Some(calibration::copy(&self.launcher, source, &copy, cache)?);
        calibration::prepare(&self.launcher, subject.database(), cache)
    }

    /// True while the application has not ended by itself.
    fn alive(&self) -> bool {
        self.died.is_none()
    }

    fn has_artifact(&self) -> bool {
        self.backup.as_ref().is_some_and(|backup| backup.halt.is_none())
    }

    /// True when there is an artifact.
    fn backup(&mut self, subject: &mut EmbeddedSqlite) -> Result<bool> {
        self.cached_share = storage::cached_share(subject.database()).ok();
        let destination = self.place("artifact");
        let copy_seconds = self.copy_seconds.expect("a settled trial has its copy");
        let stall_after = Duration::from_secs_f64(stall_seconds(self.scenario, copy_seconds));
        let deadline = Duration::from_secs_f64(self.scenario.trial.deadline_seconds);
        let from_ns = self.board.enter("backup");
        let mut watch = Watch::new(&self.launcher, &destination, deadline, Some(stall_after));
        watch.expected_bytes = Some(self.plan.dataset_bytes);
        self.board.follow(Some(watch.remaining.clone()));
        let settings = &self.plan.settings;
        let mut context = BackupContext { subject, destination: &destination, settings, watch: &mut watch };
        let halt = self.strategy.backup(&mut context).err();
        let to_ns = now_ns();
        self.board.follow(None);
        if let Some(Halt::Error(error)) = halt {
            return Err(error);
        }
        let succeeded = halt.is_none();
        self.note_life(subject);
        self.backup = Some(BackupOutcome {
            span: Span { from_ns, to_ns },
            durable_ns: watch.durable_ns.filter(|_| succeeded),
            halt,
            watch,
            artifact_bytes: succeeded.then(|| storage::directory_bytes(&destination)),
        });
        Ok(succeeded)
    }

    fn tail(&mut self, subject: &EmbeddedSqlite) -> Result<()> {
        self.board.enter("tail");
        self.wait(subject, self.scenario.trial.tail_seconds)
    }

    fn disaster(&mut self, subject: &mut EmbeddedSqlite) -> Result<()> {
        std::fs::remove_dir_all(self.place("scratch")).context("cannot remove the scratch directory")?;
        self.disaster_ns = self.board.enter("disaster");
        subject.kill();
        std::fs::rename(self.place("live"), self.place("lost"))
            .context("cannot take the data directory away")?;
        Ok(())
    }

    /// True when there is a data directory.
    fn restore(&mut self) -> Result<bool> {
        let started = self.board.enter("restore");
        let deadline = Duration::from_secs_f64(self.scenario.trial.deadline_seconds);
        let (artifact, place) = (self.place("artifact"), self.place("restored"));
        let mut watch = Watch::new(&self.launcher, &place, deadline, None);
        let database = self.restored_database();
        let mut context =
            RestoreContext { artifact: &artifact, place: &place, database: &database, watch: &mut watch };
        let halt = self.strategy.restore(&mut context).err();
        if let Some(Halt::Error(error)) = halt {
            return Err(error);
        }
        let succeeded = halt.is_none();
        let seconds = seconds_between(started, now_ns());
        self.restore = Some(RestoreOutcome { seconds, halt, served: None });
        Ok(succeeded)
    }

    fn serve(&mut self) -> Result<()> {
        self.board.enter("serve");
        let mut subject = EmbeddedSqlite::new(&self.launcher, self.application(self.restored_database()));
        let served = match subject.serve() {
            Ok(()) => Ok(seconds_between(self.disaster_ns, now_ns())),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => Err(error.to_string()),
        };
        // The verifier wants the database to itself. One that is damaged may refuse to close in good order:
        // what that left behind is for the verifier to find.
        if let Err(Error::Interrupted) = subject.stop() {
            return Err(Error::Interrupted);
        }
        self.restore.as_mut().expect("only a restored database is asked to serve").served = Some(served);
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        self.board.enter("verify");
        let backup = self.backup.as_ref().expect("only a backup is restored");
        let promise = self.strategy.card().promise;
        let request = verify::Request {
            database: self.restored_database(),
            ledger: self.place("ledger"),
            model: self.plan.model.clone(),
            expected: self.site.source.content.clone(),
            integrity: self.scenario.trial.integrity,
            keep_acknowledged_before_ns: promise.keeps_earlier_writes.then_some(backup.span.from_ns),
            backup_completed_ns: backup.durable_ns.unwrap_or(backup.span.to_ns),
            disaster_ns: self.disaster_ns,
        };
        let job = Job::Verify { request: Box::new(request), dataset: self.plan.dataset.clone() };
        match self.launcher.work(Account::Harness, &job, &mut |_| {}) {
            Ok(report) => self.verified = Some(report),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // A verifier that crashes proves nothing, which is a verdict and not the end of the run.
            Err(error) => self.verifier_error = Some(error.to_string()),
        }
        Ok(())
    }

    /// The workload alone, for some time.
    fn wait(&mut self, subject: &EmbeddedSqlite, seconds: f64) -> Result<()> {
        self.site.cancel.sleep_until(Instant::now() + Duration::from_secs_f64(seconds))?;
        self.note_life(subject);
        Ok(())
    }

    /// Notes the phase when the application has ended by itself: such a trial proves nothing.
    fn note_life(&mut self, subject: &EmbeddedSqlite) {
        if self.died.is_none() && !subject.is_running() {
            self.died = self.board.phases().last().map(|start| start.phase.clone());
        }
    }
}

fn own_counters() -> Counters {
    Counters::of(std::process::id() as i32).unwrap_or_default()
}
