//! One trial, from an empty directory to its record.

mod blame;
mod brief;
mod challenge;
mod drill;
mod environment;
mod equipment;
pub mod evidence;
mod examine;
pub mod impact;
pub mod judge;
mod keep;
mod live_restore;
mod live_restores;
mod record;
pub mod sampler;
mod seen;
mod stage;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use engines::applications::App;
use engines::applications::embedded::ApplicationTask;
use engines::secret::Secret;
use engines::subject::Subject;
use engines::{configuration, log_events};
use machine::error::{Error, Result};
use machine::measure::clock::{Span, now_ns, seconds_between};
use machine::measure::{calibration, extents, storage};
use machine::process::{Account, Counters};
use machine::removal;
use strategies::clock::SystemClock;
use strategies::contract::{FailureCause, Measured, Moments, RestoreContext, RestoreResult, StrategyFailure};
use strategies::watch::{Operation, Watch};

use crate::plan::{self, TrialPlan};
use crate::scenario::Scenario;
use drill::{BackupPhase, Drill, RestorePhase};
pub use environment::{Images, Keep, TrialEnvironment};
pub use keep::{Concluded, Keeper};

/// The first write is due this long after the application was started.
const LEAD_NS: u64 = 200_000_000;
/// Time between the start of the workload and the reference window, for the writes to reach a steady state.
const SETTLE: Duration = Duration::from_millis(500);

/// Runs one trial:
///
/// 1. provision: the subject is started on a copy of the dataset, and the ledger is opened;
/// 2. reference: the workload runs alone; the backup window is later compared with this window. Then the machine
///    settles: the plain copy that the backup is compared with is made, and caches are brought into the state of the
///    scenario;
/// 3. arm: continuous replication starts, for strategies that use it;
/// 4. backup: the strategy runs while the workload continues, and is watched for progress, stall and deadline;
/// 5. tail: the workload continues, so that writes appear that a finished backup lacks; a continuous replica is
///    restored during this time if the variant asks for it;
/// 6. disaster: subject and replication are killed with SIGKILL, and the data is lost;
/// 7. restore: the strategy builds the data from its artifact alone, in an empty directory;
/// 8. serve: the subject starts on it and answers a read and a write: this ends the recovery time;
/// 9. verify: integrity, content, and the ledger;
/// 10. record: everything above.
///
/// A backup that does not succeed, or an error of the machine, ends the trial with the measurements made so far. The
/// files that are left in its directory can still be kept afterwards.
///
/// # Errors
/// Errors that end the run, as decided in [`blame`]: never a failure of the strategy, or an error of the machine that
/// affects only this trial.
pub fn run<'a>(
    plan: &'a TrialPlan,
    scenario: &'a Scenario,
    environment: &'a TrialEnvironment<'a>,
) -> Result<Concluded<'a>> {
    let mut drill = Drill::new(plan, scenario, environment, Secret::random()?);
    if let Some(missing) = drill.missing()? {
        return Ok(Concluded { record: drill.unavailable(&missing), drill: None });
    }
    let (timeline, sampled) = (drill.timeline.clone(), drill.sampled());
    let record = sampler::beside(&sampled, &timeline, environment.observer, || {
        let mut live = None;
        if let Err(error) = drill.perform(&mut live) {
            drill.obstacle = Some(blame::obstacle(&drill.phase(), error)?);
            drill.end(live.as_mut());
        }
        let outages = live.as_ref().map_or(&[][..], Subject::outages);
        drill.record(outages).or_else(|error| drill.proved_nothing(error))
    })?;
    Ok(Concluded { record, drill: Some(drill) })
}

impl Drill<'_> {
    /// The phases of a trial. A phase is skipped when an earlier phase did not provide what it needs.
    fn perform(&mut self, live: &mut Option<Subject>) -> Result<()> {
        let subject = live.insert(self.stage("live")?);
        self.provision(subject)?;
        self.reference(subject)?;
        if self.alive() && self.arm(subject)? && self.backup(subject)? {
            self.tail(subject)?;
        }
        self.disaster(subject)?;
        if self.has_artifact() {
            let mut restored = self.stage("restored")?;
            if self.restore(&mut restored)? {
                self.serve(&mut restored)?;
                self.verify(&mut restored)?;
            }
            self.leave(restored);
        }
        Ok(())
    }

    fn provision(&mut self, subject: &mut Subject) -> Result<()> {
        calibration::duplicate(&self.launcher, &self.environment.source.database, subject.data())?;
        self.break_up(subject.data())?;
        if let (App::Tracker, Some(mode)) = (self.plan.deployment.app, self.plan.deployment.mode) {
            // A tracker does not change the mode of its database.
            self.plan.deployment.engine.set_mode(subject.data(), mode)?;
        }
        if self.plan.strategy.abilities().takes_configuration {
            let beside = self.place("live").join(configuration::DIRECTORY);
            self.configuration =
                Some(configuration::make(&beside).context("cannot make configuration files")?);
        }
        subject.start_services()?;
        self.epoch_ns = now_ns() + LEAD_NS;
        subject.begin(ApplicationTask::Work {
            load: self.plan.load,
            ledger_directory: self.ledger(),
            epoch_ns: self.epoch_ns,
        })?;
        self.environment.cancel.sleep_until(Instant::now() + SETTLE)
    }

    fn reference(&mut self, subject: &Subject) -> Result<()> {
        let from_ns = self.timeline.enter("reference");
        self.wait(subject, self.scenario.trial.reference_seconds)?;
        self.reference = Span { from_ns, to_ns: self.timeline.enter("settle") };
        self.settle(subject)
    }

    /// Makes the plain copy that the backup is compared with, of the same bytes and right before it, and then brings
    /// the machine back into the same state. The copy stays until the backup has ended: deleting it would give the
    /// backup memory and disk space that the copy did not have.
    fn settle(&mut self, subject: &Subject) -> Result<()> {
        let (source, cache) = (&self.environment.source.database, self.scenario.subject.cache);
        if self.scenario.subject.extents.is_some() {
            self.extents = extents::count(subject.data()).ok();
        }
        let copy = self.place("scratch").join("copy");
        self.copy_seconds = Some(calibration::copy(&self.launcher, source, &copy, cache)?);
        calibration::prepare(&self.launcher, subject.data(), cache)
    }

    /// True unless the application has exited unexpectedly.
    fn alive(&self) -> bool {
        self.died.is_none()
    }

    fn has_artifact(&self) -> bool {
        self.backup.as_ref().is_some_and(|backup| backup.failure.is_none())
    }

    /// True when the backup can begin.
    fn arm(&mut self, subject: &mut Subject) -> Result<bool> {
        let from_ns = self.timeline.enter("arm");
        let plan = self.plan;
        let Some(continuous) = plan.strategy.abilities().continuous else { return Ok(true) };
        let mut watch = self.watch(self.operation(self.place("artifact")));
        match self.with_backup_context(subject, &mut watch, |context| continuous.start(context)) {
            Ok(replication) => {
                self.replication = Some(replication);
                Ok(true)
            }
            Err(StrategyFailure { cause: FailureCause::Error(error), .. }) => Err(error),
            Err(StrategyFailure { cause, mut measured }) => {
                if let FailureCause::Failed(message) = &cause {
                    // The reason in the record is shortened; the output keeps the whole message.
                    measured.append_output(message);
                }
                let span = Span { from_ns, to_ns: now_ns() };
                self.backup = Some(BackupPhase {
                    span,
                    durable_ns: None,
                    failure: Some(cause),
                    measured: *measured,
                    artifact_bytes: None,
                    grows_on: false,
                    copying: None,
                    log_events: None,
                });
                Ok(false)
            }
        }
    }

    /// An operation of the strategy that builds something of unknown size, within the deadline of the scenario.
    fn operation(&self, directory: PathBuf) -> Operation {
        let deadline = Duration::from_secs_f64(self.scenario.trial.deadline_seconds);
        Operation { directory, live: None, expected_bytes: None, deadline, limits: None }
    }

    fn watch(&self, operation: Operation) -> Watch {
        Watch::new(&self.launcher, operation, Arc::new(SystemClock))
    }

    /// True when there is an artifact.
    fn backup(&mut self, subject: &mut Subject) -> Result<bool> {
        self.cached_share = storage::cached_share(subject.data()).ok();
        let copy_seconds = self.copy_seconds.expect("a settled trial has its copy");
        let from_ns = self.timeline.enter("backup");
        let mut watch = self.watch(Operation {
            live: Some(self.place("live")),
            expected_bytes: Some(self.environment.source.bytes),
            limits: Some(plan::limits(self.scenario, copy_seconds, self.environment.source.bytes)),
            ..self.operation(self.place("artifact"))
        });
        self.timeline.follow(Some(watch.remaining()));
        let before = self.replication_counters();
        let (data, plan) = (subject.data().to_owned(), self.plan);
        let watch_log = |stop: &_| plan.deployment.engine.watch_log(plan.deployment.mode, &data, stop);
        let (outcome, log_events) = log_events::beside(watch_log, || {
            self.with_backup_context(subject, &mut watch, |context| plan.strategy.backup(context))
        });
        let to_ns = now_ns();
        self.timeline.follow(None);
        let (durable_ns, mut measured, failure) = match outcome {
            Ok(outcome) => (Some(outcome.durable_ns), outcome.measured, None),
            Err(StrategyFailure { cause: FailureCause::Error(error), .. }) => return Err(error),
            Err(failure) => (None, *failure.measured, Some(failure.cause)),
        };
        self.add_replication(&mut measured, before);
        self.note_life(subject);
        let span = Span { from_ns: measured.began_ns.unwrap_or(from_ns), to_ns };
        let succeeded = failure.is_none();
        self.backup = Some(BackupPhase {
            span,
            durable_ns,
            failure,
            measured,
            artifact_bytes: self.artifact_bytes().filter(|_| succeeded),
            grows_on: self.replication.is_some(),
            copying: succeeded.then(|| challenge::copying(&self.place("artifact"), span)),
            log_events,
        });
        Ok(succeeded)
    }

    /// Adds the resources that continuous replication used for a backup: all since the reading `before` the backup was
    /// called, unless the strategy returned the part that counts.
    fn add_replication(&self, measured: &mut Measured, before: Option<Counters>) {
        if self.replication.is_some() {
            let since_call = || Some(self.replication_counters()?.since(&before?));
            let used = measured.replication.or_else(since_call);
            measured.counters.add(&used.unwrap_or(Counters::UNKNOWN));
        }
    }

    fn disaster(&mut self, subject: &mut Subject) -> Result<()> {
        // What cannot be removed is reported when the directory of the trial is removed.
        let _ = removal::remove(&self.place("scratch"));
        if let Some((ended, backup)) =
            self.replication.as_ref().and_then(|replication| replication.ended()).zip(self.backup.as_mut())
        {
            backup.failure.get_or_insert(FailureCause::Failed(ended));
        }
        if let Some(replication) = &mut self.replication {
            replication.note();
        }
        subject.note();
        self.disaster_ns = self.timeline.enter("disaster");
        // All are killed as nearly at the same instant as possible; the calls below only wait until they have exited.
        self.launcher.kill_all(Account::Subject);
        self.launcher.kill_all(Account::Strategy);
        subject.kill();
        if let Some(mut replication) = self.replication.take() {
            replication.kill();
            if let Some(backup) = &mut self.backup {
                backup.measured.append_output(&replication.last_lines());
            }
        }
        let artifact_bytes = self.artifact_bytes();
        if let Some(backup) = self.backup.as_mut().filter(|backup| backup.failure.is_none()) {
            // Continuous replication adds to the artifact after the backup phase.
            backup.artifact_bytes = artifact_bytes;
        }
        // Otherwise a restore could read from it. This fails when a user's command has locked the directory.
        std::fs::rename(self.place("live"), self.place("lost"))
            .context("the live data directory cannot be moved away")?;
        Ok(())
    }

    /// Size of the artifact; `None` where something in it can only be read by another user.
    fn artifact_bytes(&self) -> Option<u64> {
        let artifact = self.place("artifact");
        storage::allocated_bytes(&artifact).ok().map(|_| self.plan.strategy.artifact_bytes(&artifact))
    }

    /// True when there is something to serve.
    fn restore(&mut self, restored: &mut Subject) -> Result<bool> {
        let started = self.timeline.enter("restore");
        let (measured, failure) = match self.restore_into(restored, self.place("restored"), self.moments()) {
            Ok(measured) => (measured, None),
            Err(StrategyFailure { cause: FailureCause::Error(error), .. }) => return Err(error),
            Err(failure) => (*failure.measured, Some(failure.cause)),
        };
        let succeeded = failure.is_none();
        let seconds = seconds_between(started, now_ns());
        self.restore = Some(RestorePhase { seconds, failure, output: measured.output, served: None });
        Ok(succeeded)
    }

    /// Lets the strategy restore its artifact.
    fn restore_into(&self, restored: &mut Subject, place: PathBuf, moments: Moments) -> RestoreResult {
        let mut watch = self.watch(self.operation(place));
        let mut context = RestoreContext {
            artifact: &self.place("artifact"),
            subject: restored,
            moments,
            equipment: self.equipment(),
            watch: &mut watch,
        };
        self.plan.strategy.restore(&mut context)
    }

    fn serve(&mut self, restored: &mut Subject) -> Result<()> {
        self.timeline.enter("serve");
        let served = match restored.serve() {
            Ok(()) => Ok(seconds_between(self.disaster_ns, now_ns())),
            Err(Error::Environment(cause)) => Err(cause),
            Err(error) => return Err(error),
        };
        // The verifier needs exclusive access to the database. A damaged database may fail to close cleanly; the
        // verifier then checks what is left.
        if let Err(Error::Interrupted) = restored.retire() {
            return Err(Error::Interrupted);
        }
        self.restore.as_mut().expect("the serve phase follows a restore").served = Some(served);
        Ok(())
    }

    /// The workload alone, for some time.
    fn wait(&mut self, subject: &Subject, seconds: f64) -> Result<()> {
        self.environment.cancel.sleep_until(Instant::now() + Duration::from_secs_f64(seconds))?;
        self.note_life(subject);
        Ok(())
    }

    /// Ends all processes of the trial if there was no disaster.
    fn end(&mut self, live: Option<&mut Subject>) {
        if self.disaster_ns > 0 {
            return;
        }
        self.disaster_ns = now_ns();
        self.launcher.kill_all(Account::Subject);
        self.launcher.kill_all(Account::Strategy);
        if let Some(live) = live {
            live.kill();
        }
        self.replication = None;
    }
}
