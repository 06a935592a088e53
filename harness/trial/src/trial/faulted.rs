//! A trial with a fault: the backups before, under and after it, and what came through it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use engines::database::Database;
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::measure::clock::now_ns;
use machine::measure::storage;
use machine::process::{Account, StopOnDrop, TICK, is_alive};
use machine::removal;
use model::ledger::Ledger;
use model::verify;
use reports::record::{Aftermath, Verdict};
use strategies::contract::{FailureCause, StrategyFailure};

use super::brief::in_brief;
use super::context::TrialContext;
use super::impact::Offered;
use super::phase_results::{Armed, Artifact, BackedUp, CalledBackup, FaultResults, Lost, Settled};
use super::verdict::Evidence;
use crate::fault::{ConfiguredFault, Injected, Moment, Scene, Stops};

/// How often a backup is made until the fault strikes during it: a random moment may come after its end.
pub(super) const ATTEMPTS: u32 = 6;
/// How often a fault that has nothing to strike is tried again.
const NAP: Duration = Duration::from_micros(200);
/// How long the processes of a backup that failed may take to end.
const GRACE: Duration = Duration::from_secs(1);
/// How long the application may take to acknowledge a write after a fault: its writers may have to connect again.
const WORKS_WITHIN: Duration = Duration::from_secs(30);

/// Where the backups are while another one is made or restored, beside the artifact.
const PREVIOUS: &str = "previous-backup";
const FAULTED: &str = "faulted-backup";
const NEXT: &str = "next-backup";

/// A fault that has struck.
pub(super) struct Strike<'a> {
    pub(super) at_ns: u64,
    pub(super) injected: Injected<'a>,
}

impl TrialContext<'_> {
    /// The backup of a trial with a fault. If the fault is one of backups, there is another one before it, and another
    /// one after it; continuous replication, which has no separate backups, is only started again after it has failed.
    pub(super) fn backup_with_fault(
        &self,
        fault: &ConfiguredFault,
        subject: &mut Subject,
        armed: &mut Armed,
        settled: &Settled,
        results: &mut FaultResults,
    ) -> Result<BackedUp> {
        if !fault.moment().is_of_backup() {
            return self.backup("backup", subject, armed, settled);
        }
        let is_continuous = armed.replication.is_some();
        let mut seconds = settled.copy_seconds;
        if !is_continuous {
            let previous = self.backup("previous backup", subject, armed, settled)?;
            seconds = previous.span.seconds();
            let failed = |cause| Error::Environment(format!("no backup before the fault: {cause}"));
            results.previous = Some(previous.artifact.map_err(failed)?);
            self.move_artifact_to(PREVIOUS)?;
        }
        // A power cut must not take what was there before the fault.
        storage::sync_file_system(&self.disk()).context("cannot make the data durable before a fault")?;
        let mut backed_up = self.backup_until_struck(fault, subject, armed, (settled, seconds), results)?;
        if let Some(ended) = armed.replication.as_ref().and_then(|replication| replication.ended())
            && backed_up.artifact.is_ok()
        {
            backed_up.artifact = Err(FailureCause::Failed(ended));
        }
        if backed_up.artifact.is_err() {
            results.leftovers = self.leftovers();
        }
        let works = results.strike.is_some() && results.source_down.is_none();
        if works && (!is_continuous || backed_up.artifact.is_err()) {
            armed.replication = None;
            self.move_artifact_to(FAULTED)?;
            results.next = Some(self.next_backup(subject, armed, settled)?);
            if !is_continuous {
                self.move_artifact_to(NEXT)?;
                self.move_artifact_from(FAULTED)?;
            }
        }
        Ok(backed_up)
    }

    /// A backup that the fault strikes. It is repeated when the fault comes too late, each time with an earlier moment.
    fn backup_until_struck(
        &self,
        fault: &ConfiguredFault,
        subject: &mut Subject,
        armed: &mut Armed,
        (settled, seconds): (&Settled, f64),
        results: &mut FaultResults,
    ) -> Result<BackedUp> {
        let scene = self.scene(fault, subject.location(), results.previous.as_ref());
        let mut latest = seconds;
        for attempt in 1..=ATTEMPTS {
            let share = scene.random_below(1 << 20, "moment") as f64 / f64::from(1 << 20);
            let delay = Duration::from_secs_f64(latest * share);
            let (mut called, strike) = self.call_with_fault(fault, &scene, delay, |at_success| {
                self.call_backup("backup", subject, armed, settled, at_success)
            })?;
            results.ended_ns = Some(called.span.to_ns);
            let is_struck = strike.is_some() && (fault.is_survivable() || called.durable_ns.is_err());
            if let Some(Strike { at_ns, injected }) = strike {
                results.strike = is_struck.then_some((at_ns, injected.proof));
                // Whatever error ended the backup now is what its operator would have seen.
                if let Err(FailureCause::Error(Error::Environment(message))) = called.durable_ns {
                    called.durable_ns = Err(FailureCause::Failed(message));
                }
                self.recover(fault, at_ns, injected.heal, subject, armed, results)?;
            }
            let died = if results.source_down.is_some() { None } else { self.died(subject) };
            let backed_up = self.conclude_backup(called, armed, died)?;
            if is_struck || backed_up.artifact.is_err() || attempt == ATTEMPTS {
                return Ok(backed_up);
            }
            if armed.replication.is_none() {
                self.clear_artifact()?;
            }
            latest /= 2.0;
        }
        unreachable!("the last attempt returns")
    }

    /// Calls a backup, and lets the fault strike at its moment.
    fn call_with_fault<'s>(
        &self,
        fault: &ConfiguredFault,
        scene: &'s Scene<'s>,
        delay: Duration,
        backup: impl FnOnce(Option<&mut dyn FnMut() -> Result<()>>) -> Result<CalledBackup>,
    ) -> Result<(CalledBackup, Option<Strike<'s>>)> {
        match fault.moment() {
            Moment::BeforeBackup => {
                let strike = strike(fault, scene)?;
                Ok((backup(None)?, strike))
            }
            Moment::AtSuccess => {
                let mut struck = None;
                let called = backup(Some(&mut || {
                    struck = strike(fault, scene)?;
                    Ok(())
                }))?;
                Ok((called, struck))
            }
            Moment::DuringBackup => {
                let _prepared = fault.prepare(scene)?;
                let stop = &AtomicBool::new(false);
                std::thread::scope(|scope| {
                    let striking = scope.spawn(move || strike_after(delay, fault, scene, stop));
                    let called = {
                        let _stop = StopOnDrop(stop);
                        backup(None)
                    };
                    let struck = striking.join().map_err(|_| Error::Bug(anyhow!("a fault panicked")))?;
                    Ok((called?, struck?))
                })
            }
            Moment::DuringPublication | Moment::BeforeRestore => {
                Err(Error::Bug(anyhow!("this fault strikes no backup")))
            }
        }
    }

    /// Ends the fault, and starts the application again if the fault has ended it.
    fn recover(
        &self,
        fault: &ConfiguredFault,
        struck_ns: u64,
        heal: Box<dyn FnOnce() -> Result<()> + Send + '_>,
        subject: &mut Subject,
        armed: &mut Armed,
        results: &mut FaultResults,
    ) -> Result<()> {
        let replication = armed.replication.as_mut().filter(|_| fault.stops() == Stops::Machine);
        if fault.stops() != Stops::Nothing {
            subject.crash(struck_ns);
        }
        heal()?;
        if fault.stops() != Stops::Nothing {
            match subject.start() {
                Err(Error::Environment(cause)) => {
                    results.source_down = Some(format!("the application did not start again: {cause}"));
                }
                started => started?,
            }
        }
        if let Some(replication) = replication.filter(|_| results.source_down.is_none()) {
            replication.kill();
            // If it does not start, it has ended, which is its failure.
            let _ = replication.start_again();
        }
        let healed_ns = now_ns();
        results.healed_ns = Some(healed_ns);
        if results.source_down.is_none() { self.wait_until_it_works(healed_ns) } else { Ok(()) }
    }

    /// Gives the application time to show that it works again: until it has acknowledged a write after a fault was over.
    /// Whether it has is examined in [`TrialContext::verify_source`].
    pub(super) fn wait_until_it_works(&self, healed_ns: u64) -> Result<()> {
        self.wait(self.scenario.trial.tail_seconds / 2.0)?;
        let give_up = Instant::now() + WORKS_WITHIN;
        while Instant::now() < give_up {
            let ledger = Ledger::open(&self.ledger(), self.plan.model.writers);
            if ledger.is_ok_and(|ledger| ledger.has_acknowledged_after(healed_ns)) {
                break;
            }
            self.environment.cancel.sleep_until(Instant::now() + TICK)?;
        }
        Ok(())
    }

    /// The backup after the fault, or why there is none. Continuous replication is started again for it.
    fn next_backup(
        &self,
        subject: &mut Subject,
        armed: &mut Armed,
        settled: &Settled,
    ) -> Result<std::result::Result<Artifact, String>> {
        if self.plan.strategy.abilities().continuous.is_some() {
            match self.arm(subject)? {
                Ok(again) => *armed = again,
                Err(failed) => {
                    let cause = failed.artifact.err();
                    return Ok(Err(cause.map_or(String::new(), |cause| cause.to_string())));
                }
            }
        }
        match self.backup("next backup", subject, armed, settled) {
            Ok(next) => Ok(next.artifact.map_err(|cause| cause.to_string())),
            Err(Error::Environment(cause)) => Ok(Err(cause)),
            Err(error) => Err(error),
        }
    }

    /// Lets a fault of this moment strike, between the disaster and the restore.
    pub(super) fn strike_before_restore(
        &self,
        fault: &ConfiguredFault,
        database: Database,
        results: &mut FaultResults,
    ) -> Result<()> {
        if fault.moment() == Moment::BeforeRestore {
            let scene = self.scene(fault, database, None);
            results.strike = strike(fault, &scene)?.map(|strike| (strike.at_ns, strike.injected.proof));
        }
        Ok(())
    }

    /// What a backup that failed has left: processes, which are then killed, and files of its artifact.
    fn leftovers(&self) -> Vec<String> {
        let give_up = Instant::now() + GRACE;
        let running = || {
            let all = self.launcher.processes().running(Account::Strategy);
            all.into_iter().filter(|pid| is_alive(*pid)).count()
        };
        while running() > 0 && Instant::now() < give_up {
            std::thread::sleep(NAP);
        }
        let mut left = Vec::new();
        let processes = self.launcher.kill_all(Account::Strategy);
        if processes > 0 {
            left.push(counted(processes, "running process", "running processes"));
        }
        let files = storage::files(&self.artifact()).len();
        if files > 0 {
            let bytes = bytesize::ByteSize(storage::bytes(&self.artifact()));
            left.push(format!("{} with {bytes}", counted(files, "file", "files")));
        }
        left
    }

    /// Finds out what came through the fault: restores and verifies the backups before and after it, and verifies the
    /// database that the disaster left.
    pub(super) fn examine_aftermath(&self, results: &mut FaultResults, lost: &Lost) -> Result<()> {
        if !self.plan.verifies_the_source() || results.strike.is_none() {
            return Ok(());
        }
        self.timeline.enter("aftermath");
        let previous = match &results.previous {
            Some(previous) => Some(self.restore_backup(PREVIOUS, previous, lost)?),
            None => None,
        };
        let source = match &results.source_down {
            Some(why) => harmed(why),
            None => self.verify_source(results.healed_ns, lost)?,
        };
        let next = match &results.next {
            Some(Ok(next)) => Some(self.restore_backup(NEXT, next, lost)?),
            Some(Err(why)) => Some(harmed(why)),
            None => None,
        };
        results.aftermath = [previous, Some(source), next];
        Ok(())
    }

    /// Restores one of the other backups in a place of its own, and verifies it.
    fn restore_backup(&self, kept: &str, artifact: &Artifact, lost: &Lost) -> Result<Aftermath> {
        let name = format!("restored-{kept}");
        let place = self.place(&name);
        std::fs::create_dir(&place).context("cannot make a directory for a restore")?;
        // Continuous replication wrote into the directory of the artifact until the disaster.
        let is_in_place = artifact.grows_on;
        if !is_in_place {
            self.move_artifact_to(FAULTED)?;
            self.move_artifact_from(kept)?;
        }
        let mut subject = self.stage(&name)?;
        let restored = self.restore_into(&mut subject, place.clone(), artifact.moments(lost.disaster_ns));
        let found = match restored {
            Ok(_) => match subject.recover() {
                Err(Error::Environment(cause)) => harmed(&cause),
                recovered => {
                    recovered?;
                    let request = self.request(subject.location(), artifact, lost.disaster_ns, &[]);
                    judged(subject.report_or_crash(self.ask_verifier(request)?))
                }
            },
            Err(StrategyFailure { cause: FailureCause::Error(Error::Environment(cause)), .. }) => {
                harmed(&cause)
            }
            Err(StrategyFailure { cause: FailureCause::Error(error), .. }) => return Err(error),
            Err(StrategyFailure { cause, .. }) => harmed(&format!("the restore ended: {cause}")),
        };
        drop(subject);
        if !is_in_place {
            self.move_artifact_to(kept)?;
            self.move_artifact_from(FAULTED)?;
        }
        // What cannot be removed is reported when the directory of the trial is removed.
        let _ = removal::remove(&place);
        Ok(found)
    }

    /// Verifies that the application worked on after the fault, and that the database that the disaster left has every
    /// write that it acknowledged.
    pub(super) fn verify_source(&self, healed_ns: Option<u64>, lost: &Lost) -> Result<Aftermath> {
        let ledger =
            Ledger::open(&self.ledger(), self.plan.model.writers).context("cannot read the ledger")?;
        if !ledger.has_acknowledged_after(healed_ns.unwrap_or(0)) {
            return Ok(harmed("no write was acknowledged after the fault"));
        }
        let mut subject = self.stage("lost")?;
        match subject.recover() {
            Err(Error::Environment(cause)) => return Ok(harmed(&cause)),
            recovered => recovered?,
        }
        let request = verify::Request {
            database: subject.location(),
            ledger: self.ledger(),
            model: self.plan.model.clone(),
            expected: self.environment.source.content.clone(),
            integrity: self.plan.level,
            keep_acknowledged_before_ns: Some(lost.disaster_ns),
            lack_sent_after_ns: None,
            without_never_completed: false,
            never_written: Vec::new(),
            backup_completed_ns: None,
            disaster_ns: lost.disaster_ns,
        };
        Ok(judged(subject.report_or_crash(self.ask_verifier(request)?)))
    }

    /// Moves what is in the directory of the artifact aside. The directory itself stays: a server has it mounted.
    fn move_artifact_to(&self, name: &str) -> Result<()> {
        self.move_all(self.artifact(), self.destination().join(name))
    }

    /// Moves it back.
    fn move_artifact_from(&self, name: &str) -> Result<()> {
        self.move_all(self.destination().join(name), self.artifact())
    }

    pub(super) fn move_all(&self, from: PathBuf, to: PathBuf) -> Result<()> {
        let all = || {
            std::fs::create_dir_all(&to)?;
            for entry in std::fs::read_dir(&from)? {
                let entry = entry?;
                std::fs::rename(entry.path(), to.join(entry.file_name()))?;
            }
            std::io::Result::Ok(())
        };
        all().with_context(|| format!("cannot move the files in {} to {}", from.display(), to.display()))?;
        Ok(())
    }

    /// Removes an artifact that is not needed.
    fn clear_artifact(&self) -> Result<()> {
        let unstruck = self.destination().join("unstruck-backup");
        self.move_all(self.artifact(), unstruck.clone())?;
        removal::remove(&unstruck).map_err(|left| Error::Environment(left.to_string()))
    }
}

/// Lets a fault strike now; `None` when there is nothing to strike.
fn strike<'s>(fault: &ConfiguredFault, scene: &'s Scene<'s>) -> Result<Option<Strike<'s>>> {
    let at_ns = now_ns();
    Ok(fault.inject(scene)?.map(|injected| Strike { at_ns, injected }))
}

/// Lets a fault strike after `delay`, or as soon as there is something to strike then; `None` when `stop` was set
/// before that.
pub(super) fn strike_after<'s>(
    delay: Duration,
    fault: &ConfiguredFault,
    scene: &'s Scene<'s>,
    stop: &AtomicBool,
) -> Result<Option<Strike<'s>>> {
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if began.elapsed() >= delay
            && let Some(struck) = strike(fault, scene)?
        {
            return Ok(Some(struck));
        }
        std::thread::sleep(NAP);
    }
    Ok(None)
}

/// Whether a database that was verified is right.
fn judged(report: std::result::Result<verify::Report, String>) -> Aftermath {
    let evidence = Evidence {
        acknowledged: true,
        died: None,
        obstacle: None,
        missed: None,
        offered: Offered::NOTHING,
        errors_allowed: 1.0,
        backup: None,
        restore: None,
        served: None,
        verified: report.as_ref().ok(),
        live: Vec::new(),
        verifier_error: report.as_ref().err().map(String::as_str),
    };
    let (verdict, reason) = evidence.verdict();
    Aftermath { ok: verdict == Verdict::Restorable, reason }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

pub(super) fn harmed(why: &str) -> Aftermath {
    Aftermath { ok: false, reason: in_brief(why) }
}
