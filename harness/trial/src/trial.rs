//! One trial, from an empty directory to its record.

mod away;
mod blame;
mod brief;
mod challenge;
mod context;
pub mod damage;
mod environment;
mod equipment;
pub mod evidence;
mod examine;
mod faulted;
pub mod impact;
pub mod judge;
mod keep;
mod live_restore;
mod live_restores;
mod observed;
mod phase_results;
mod publication_struck;
mod record;
pub mod sampler;
mod scene;
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
use machine::process::Account;
use machine::removal;
use strategies::clock::SystemClock;
use strategies::contract::{
    FailureCause, Moments, Replication, RestoreContext, RestoreResult, StrategyFailure,
};
use strategies::watch::{Operation, Watch};

use crate::plan::{self, TrialPlan};
use crate::scenario::Scenario;
use context::TrialContext;
pub use environment::{Images, Keep, TrialEnvironment};
use keep::EndedTrial;
pub use keep::{Concluded, Keeper};
use phase_results::{
    Armed, Artifact, BackedUp, CalledBackup, Ending, Lost, PhaseResults, Provisioned, Referenced, Restored,
    Settled,
};

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
///    If the trial has stages, the artifact then passes through them, and is published at a destination;
/// 5. tail: the workload continues, so that writes appear that a finished backup lacks; a continuous replica is
///    restored during this time if the variant asks for it;
/// 6. disaster: subject and replication are killed with SIGKILL, and the data is lost; so is the artifact, if it was
///    published;
/// 7. restore: a published artifact is fetched; the strategy builds the data from its artifact alone, in an empty directory;
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
    let mut context = TrialContext::new(plan, scenario, environment, Secret::random()?);
    if let Some(missing) = context.obtain()? {
        return Ok(Concluded { record: context.unavailable(&missing), ended: None });
    }
    context.limit_strategy()?;
    let mut results = PhaseResults::default();
    let (record, observed) =
        sampler::beside(&context.sampled(), &context.timeline, environment.observer, || {
            let ending = context.perform(&mut results)?;
            context.record(&results, &ending)
        })?;
    Ok(Concluded { record, ended: Some(EndedTrial { observed, results, context }) })
}

impl TrialContext<'_> {
    /// The phases of a trial, until the last one or an error that ends only this trial.
    fn perform(&self, results: &mut PhaseResults) -> Result<Ending> {
        let mut live = None;
        let obstacle = match self.perform_phases(&mut live, results) {
            Ok(()) => None,
            Err(error) => Some(blame::obstacle(&self.phase(), error)?),
        };
        let killed_ns = match &results.lost {
            Some(lost) => lost.disaster_ns,
            None => self.kill(live.as_mut(), results.armed.as_mut()),
        };
        let outages = live.as_ref().map_or(Vec::new(), |live| live.outages().to_vec());
        Ok(Ending { killed_ns, outages, obstacle })
    }

    /// Each phase gets what it needs from the results of earlier phases. It is skipped when there is no such result.
    fn perform_phases(&self, live: &mut Option<Subject>, results: &mut PhaseResults) -> Result<()> {
        let subject = live.insert(self.stage("live")?);
        let provisioned = &*results.provisioned.insert(self.provision(subject)?);
        let referenced = &*results.referenced.insert(self.reference(subject)?);
        let settled = &*results.settled.insert(self.settle(subject)?);
        if referenced.died.is_none() {
            match self.arm(subject)? {
                Ok(armed) => {
                    let armed = results.armed.insert(armed);
                    let mut backed_up = match &self.plan.fault {
                        None => self.backup("backup", subject, armed, settled)?,
                        Some(fault) => {
                            self.backup_with_fault(fault, subject, armed, settled, &mut results.fault)?
                        }
                    };
                    let (offsite, struck) = (&mut results.offsite, &mut results.fault);
                    if let (Some(stages), Ok(_)) = (&self.plan.stages, &backed_up.artifact)
                        && let Some(why) = self.publish(stages, subject, offsite, struck)?
                    {
                        backed_up.artifact = Err(FailureCause::Failed(why));
                    }
                    let backed_up = &*results.backed_up.insert(backed_up);
                    if let Ok(artifact) = &backed_up.artifact {
                        self.tail(subject, armed, artifact, &mut results.tail)?;
                    }
                }
                Err(failed) => results.backed_up = Some(*failed),
            }
        }
        let replication = results.armed.as_mut().and_then(|armed| armed.replication.take());
        let lost = &*results.lost.insert(self.disaster(subject, replication));
        let mut clearing = self.take_away_live_data()?;
        let backed_up = results.backed_up.as_ref();
        if let Some(Ok(artifact)) = backed_up.map(|backed_up| backed_up.outcome(&results.tail, Some(lost))) {
            if let Some(fault) = &self.plan.fault {
                self.strike_before_restore(fault, subject.location(), &mut results.fault)?;
            }
            let mut restored_subject = self.stage("restored")?;
            let restored = match &self.plan.stages {
                None => self.restore(&mut restored_subject, artifact, lost)?,
                Some(stages) => {
                    clearing += self.lose_artifact()?;
                    match self.fetch(stages, &mut results.offsite)? {
                        None => self.restore(&mut restored_subject, artifact, lost)?,
                        Some(why) => Restored::failed(why),
                    }
                }
            };
            let restored = results.restored.insert(restored);
            if restored.failure.is_none() {
                results.served = Some(self.serve(&mut restored_subject, lost, clearing)?);
                let verified = self.verify(&restored_subject, artifact, &results.tail.live_restores, lost)?;
                let verified = results.verified.insert(verified);
                self.verify_configuration(provisioned, verified)?;
                self.leave(restored_subject, verified);
            }
        }
        if let Some(stages) = &self.plan.stages {
            self.withdraw(stages, &results.offsite)?;
        }
        self.examine_aftermath(&mut results.fault, lost)?;
        self.examine_publications(&mut results.fault, lost)
    }

    fn provision(&self, subject: &mut Subject) -> Result<Provisioned> {
        calibration::duplicate(&self.launcher, &self.environment.source.database, subject.data())?;
        self.break_up(subject.data())?;
        if let (App::Tracker, Some(mode)) = (self.plan.deployment.app, self.plan.deployment.mode) {
            // A tracker does not change the mode of its database.
            self.plan.deployment.engine.set_mode(subject.data(), mode)?;
        }
        let beside = self.place("live").join(configuration::DIRECTORY);
        let configuration = match self.plan.strategy.abilities().takes_configuration {
            true => Some(configuration::make(&beside).context("cannot make configuration files")?),
            false => None,
        };
        subject.start_services()?;
        let epoch_ns = now_ns() + LEAD_NS;
        subject.begin(ApplicationTask::Work {
            load: self.plan.load,
            ledger_directory: self.ledger(),
            epoch_ns,
        })?;
        self.environment.cancel.sleep_until(Instant::now() + SETTLE)?;
        Ok(Provisioned { epoch_ns, configuration })
    }

    fn reference(&self, subject: &Subject) -> Result<Referenced> {
        let from_ns = self.timeline.enter("reference");
        self.wait(self.scenario.trial.reference_seconds)?;
        let died = self.died(subject);
        let span = Span { from_ns, to_ns: self.timeline.enter("settle") };
        let is_fragmented = self.scenario.subject.extents.is_some();
        let extents = is_fragmented.then(|| extents::count(subject.data()).ok()).flatten();
        Ok(Referenced { span, extents, died })
    }

    /// Makes the plain copy that the backup is compared with, of the same bytes and right before it, and then brings
    /// the machine back into the same state. The copy is removed before that, so that the disk need not have room for
    /// it beside the artifact.
    fn settle(&self, subject: &Subject) -> Result<Settled> {
        let (source, cache) = (&self.environment.source.database, self.scenario.subject.cache);
        let copy = self.place("scratch").join("copy");
        let copy_seconds = calibration::copy(&self.launcher, source, &copy, cache)?;
        removal::remove(&copy).map_err(|left| Error::Environment(left.to_string()))?;
        calibration::prepare(&self.launcher, subject.data(), cache)?;
        Ok(Settled { copy_seconds })
    }

    /// Starts continuous replication, for strategies that use it. If it does not start, the backup has failed.
    fn arm(&self, subject: &mut Subject) -> Result<Result<Armed, Box<BackedUp>>> {
        let from_ns = self.timeline.enter("arm");
        let started = match self.plan.strategy.abilities().continuous {
            None => Ok(None),
            Some(continuous) => {
                let destination = self.artifact();
                let mut watch = self.watch(self.operation(destination.clone()));
                continuous.start(&mut self.backup_context(subject, &destination, &mut watch, None)).map(Some)
            }
        };
        match started {
            Ok(replication) => {
                Ok(Ok(Armed { replication, cached_share: storage::cached_share(subject.data()).ok() }))
            }
            Err(StrategyFailure { cause: FailureCause::Error(error), .. }) => Err(error),
            Err(StrategyFailure { cause, mut measured }) => {
                if let FailureCause::Failed(message) = &cause {
                    // The reason in the record is shortened; the output keeps the whole message.
                    measured.append_output(message);
                }
                let span = Span { from_ns, to_ns: now_ns() };
                Ok(Err(Box::new(BackedUp::failed(span, cause, *measured))))
            }
        }
    }

    /// An operation of the strategy that builds something of unknown size, within the deadline of the scenario.
    fn operation(&self, directory: PathBuf) -> Operation {
        let deadline = Duration::from_secs_f64(self.scenario.trial.deadline_seconds);
        Operation {
            directory,
            live: None,
            expected_bytes: None,
            deadline,
            limits: None,
            is_made_durable: true,
        }
    }

    fn watch(&self, operation: Operation) -> Watch {
        Watch::new(&self.launcher, operation, Arc::new(SystemClock))
    }

    /// A backup, in the phase with this name.
    fn backup(
        &self,
        phase: &'static str,
        subject: &mut Subject,
        armed: &mut Armed,
        settled: &Settled,
    ) -> Result<BackedUp> {
        let called = self.call_backup(phase, subject, armed, settled, None)?;
        let died = self.died(subject);
        self.conclude_backup(called, armed, died)
    }

    /// Lets the strategy make a backup. `at_success` is called at the instant at which the strategy reports success, and
    /// nothing is made durable for the strategy then.
    fn call_backup(
        &self,
        phase: &'static str,
        subject: &mut Subject,
        armed: &mut Armed,
        settled: &Settled,
        mut at_success: Option<&mut dyn FnMut() -> Result<()>>,
    ) -> Result<CalledBackup> {
        let called_ns = self.timeline.enter(phase);
        let (destination, source_bytes) = (self.artifact(), self.environment.source.bytes);
        let mut watch = self.watch(Operation {
            live: Some(self.place("live")),
            expected_bytes: Some(source_bytes),
            limits: Some(plan::limits(self.scenario, settled.copy_seconds, source_bytes)),
            is_made_durable: at_success.is_none(),
            ..self.operation(destination.clone())
        });
        self.timeline.follow(Some(watch.remaining()));
        let before = armed.replication_counters();
        let (data, plan) = (subject.data().to_owned(), self.plan);
        let watch_log = |stop: &_| plan.deployment.engine.watch_log(plan.deployment.mode, &data, stop);
        let (outcome, log_events) = log_events::beside(watch_log, || {
            let replication = armed.replication.as_mut();
            let replication = replication.map(|running| running.as_mut() as &mut (dyn Replication + 'static));
            let outcome = plan.strategy.backup(&mut self.backup_context(
                subject,
                &destination,
                &mut watch,
                replication,
            ));
            if let (Ok(_), Some(strike)) = (&outcome, &mut at_success) {
                strike()?;
            }
            Ok::<_, Error>(outcome)
        });
        let to_ns = now_ns();
        self.timeline.follow(None);
        let (durable_ns, mut measured) = match outcome? {
            Ok(outcome) => (Ok(outcome.durable_ns), outcome.measured),
            Err(failure) => (Err(failure.cause), *failure.measured),
        };
        armed.add_replication(&mut measured, before);
        let span = Span { from_ns: measured.began_ns.unwrap_or(called_ns), to_ns };
        Ok(CalledBackup { span, durable_ns, measured, log_events })
    }

    /// The result of a backup that was called, with `died` as in [`BackedUp::died`].
    fn conclude_backup(&self, called: CalledBackup, armed: &Armed, died: Option<String>) -> Result<BackedUp> {
        let CalledBackup { span, durable_ns, measured, log_events } = called;
        if let Err(FailureCause::Error(error)) = durable_ns {
            return Err(error);
        }
        let artifact = durable_ns.map(|durable_ns| Artifact {
            began_ns: span.from_ns,
            older_backup_ns: measured.older_backup_ns,
            durable_ns,
            bytes: self.artifact_bytes(),
            copying: challenge::copying(&self.artifact(), span),
            grows_on: armed.replication.is_some(),
        });
        Ok(BackedUp { span, measured, artifact, log_events, died })
    }

    fn disaster(&self, subject: &mut Subject, mut replication: Option<Box<dyn Replication>>) -> Lost {
        let ended = replication.as_ref().and_then(|replication| replication.ended());
        if let Some(replication) = &mut replication {
            replication.note();
        }
        subject.note();
        let disaster_ns = self.timeline.enter("disaster");
        // All are killed as nearly at the same instant as possible; the calls below only wait until they have exited.
        self.launcher.kill_all(Account::Subject);
        self.launcher.kill_all(Account::Strategy);
        subject.kill();
        let replication_output = replication.map_or(String::new(), |mut replication| {
            replication.kill();
            replication.last_lines()
        });
        let artifact_bytes = self.artifact_bytes();
        Lost { disaster_ns, artifact_bytes, failure: ended.map(FailureCause::Failed), replication_output }
    }

    /// Moves the live data to where a restore cannot read it, and removes it if the trial does not need it again, so that
    /// the disk need not have room for it beside the restored data. Returns how long the removal took, which is not a
    /// part of the recovery. It fails when a user's command has locked the directory.
    fn take_away_live_data(&self) -> Result<Duration> {
        let lost = self.place("lost");
        std::fs::rename(self.place("live"), &lost).context("the live data directory cannot be moved away")?;
        let began = Instant::now();
        if !self.plan.examines_the_lost() && !self.plan.keeps_the_lost() {
            // What cannot be removed is reported when the directory of the trial is removed.
            let _ = removal::remove(&lost);
        }
        Ok(began.elapsed())
    }

    /// Size of the artifact; `None` where something in it can only be read by another user.
    fn artifact_bytes(&self) -> Option<u64> {
        let artifact = self.artifact();
        storage::allocated_bytes(&artifact).ok().map(|_| self.plan.strategy.artifact_bytes(&artifact))
    }

    fn restore(&self, subject: &mut Subject, artifact: &Artifact, lost: &Lost) -> Result<Restored> {
        let began_ns = self.timeline.enter("restore");
        let moments = artifact.moments(lost.disaster_ns);
        let (measured, failure) = match self.restore_into(subject, self.place("restored"), moments) {
            Ok(measured) => (measured, None),
            Err(StrategyFailure { cause: FailureCause::Error(error), .. }) => return Err(error),
            Err(failure) => (*failure.measured, Some(failure.cause)),
        };
        Ok(Restored { seconds: seconds_between(began_ns, now_ns()), failure, output: measured.output })
    }

    /// Lets the strategy restore its artifact.
    fn restore_into(&self, restored: &mut Subject, place: PathBuf, moments: Moments) -> RestoreResult {
        let mut watch = self.watch(self.operation(place));
        let mut context = RestoreContext {
            artifact: &self.artifact(),
            subject: restored,
            moments,
            equipment: self.equipment(),
            watch: &mut watch,
        };
        self.plan.strategy.restore(&mut context)
    }

    /// The recovery time in seconds, without that of the removal of the lost data, or why the restored subject does not
    /// respond.
    fn serve(&self, restored: &mut Subject, lost: &Lost, clearing: Duration) -> Result<Result<f64, String>> {
        self.timeline.enter("serve");
        let served = match restored.serve() {
            Ok(()) => Ok(seconds_between(lost.disaster_ns, now_ns()) - clearing.as_secs_f64()),
            Err(Error::Environment(cause)) => Err(cause),
            Err(error) => return Err(error),
        };
        // The verifier needs exclusive access to the database. A damaged database may fail to close cleanly; the
        // verifier then checks what is left.
        if let Err(Error::Interrupted) = restored.retire() {
            return Err(Error::Interrupted);
        }
        Ok(served)
    }

    /// The workload alone, for some time.
    fn wait(&self, seconds: f64) -> Result<()> {
        self.environment.cancel.sleep_until(Instant::now() + Duration::from_secs_f64(seconds))
    }

    /// Kills all processes of a trial that ends without a disaster. Returns when.
    fn kill(&self, live: Option<&mut Subject>, armed: Option<&mut Armed>) -> u64 {
        let killed_ns = now_ns();
        self.launcher.kill_all(Account::Subject);
        self.launcher.kill_all(Account::Strategy);
        if let Some(live) = live {
            live.kill();
        }
        if let Some(armed) = armed {
            armed.replication = None;
        }
        killed_ns
    }
}
