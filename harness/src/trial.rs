//! One trial, from an empty directory to its record.

mod equipment;
mod examine;
mod live_restores;
mod record;
mod stage;
mod verdict;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use reports::record::Trial;

use crate::configuration::{self, Listing};
use crate::error::{Error, Result};
use crate::event::Observer;
use crate::file_system::Mounted;
use crate::images::{Image, Kind};
use crate::measure::clock::{now_ns, seconds_between};
use crate::measure::impact::Span;
use crate::measure::sampler::{self, Board, Sampled};
use crate::measure::{calibration, extents, storage};
use crate::plan::{TrialPlan, stall_seconds};
use crate::process::{Account, Cancel, Counters, Launcher, kill_marked};
use crate::scenario::Scenario;
use crate::strategy::tool::Program;
use crate::strategy::watch::{Halt, Watch};
use crate::strategy::{self, Moments, RestoreContext, Shipper, Strategy};
use crate::subject::Subject;
use crate::verify::{self, ContentDigest};
use crate::workload::application::Task;
use live_restores::LiveRestore;

/// A dataset that is ready for trials, on one engine.
pub struct Source {
    /// The database, never written to: a file or a data directory.
    pub database: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Rows of all its tables.
    pub rows: u64,
    /// What the rows that no workload touches come to.
    pub content: ContentDigest,
    /// What is odd about it, or cannot be checked.
    pub remarks: Vec<String>,
}

/// The images of a run, as far as its trials need them.
#[derive(Default)]
pub struct Images {
    /// The MySQL server.
    pub mysql: Option<Image>,
    /// The tracker.
    pub tracker: Option<Image>,
    /// What strategies make containers from, or why it cannot be had: that is no obstacle to strategies without any.
    pub tools: HashMap<Kind, Result<Image, String>>,
}

/// What a trial runs with.
pub struct Site<'a> {
    /// Its dataset.
    pub source: &'a Source,
    /// What containers are made from.
    pub images: &'a Images,
    /// An empty directory of its own.
    pub directory: &'a Path,
    /// The cache of the workspace, on the same file system.
    pub cache: &'a Path,
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
/// 3. arm: what ships continuously starts;
/// 4. backup: the strategy runs while the workload goes on, watched for progress, stall and deadline;
/// 5. tail: workload goes on, so that what a finished backup lacks can be seen; what ships is restored meanwhile where
///    the variant asks for it;
/// 6. disaster: subject and shipper killed with SIGKILL, the data lost;
/// 7. restore: the strategy builds the data from its artifact alone, in an empty place;
/// 8. serve: the subject starts on it and answers a read and a write: the recovery is over;
/// 9. verify: integrity, content, and the ledger;
/// 10. record: everything above.
///
/// A backup that does not succeed ends the trial with what was measured so far.
///
/// # Errors
/// [`Error::Interrupted`], or what went wrong on this machine or in the harness: never what the strategy did.
pub fn run(plan: &TrialPlan, scenario: &Scenario, site: &Site<'_>) -> Result<Trial> {
    let strategy = strategy::named(plan.strategy)?;
    let mut drill = Drill::new(plan, scenario, site, strategy);
    if let Some(obstacle) = drill.lay_out()? {
        return Ok(drill.unavailable(&obstacle));
    }
    let (board, sampled) = (drill.board.clone(), drill.sampled());
    sampler::beside(&sampled, &board, site.observer, || {
        let mut subject = drill.provision()?;
        drill.reference(&subject)?;
        if drill.alive() && drill.arm(&mut subject)? && drill.backup(&mut subject)? {
            drill.tail(&subject)?;
        }
        drill.disaster(&mut subject)?;
        if drill.has_artifact() {
            let mut restored = drill.stage("restored")?;
            if drill.restore(&mut restored)? {
                drill.serve(&mut restored)?;
                drill.verify(&mut restored)?;
            }
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
    /// Extents of the live database, where the scenario asks for a number of them.
    extents: Option<u64>,
    epoch_ns: u64,
    reference: Span,
    /// The phase in which the application ended by itself, and what is known about that.
    died: Option<String>,
    /// The strategy's program, where its settings name one.
    program: Option<Program>,
    /// The configuration files as they were, where the strategy takes them along.
    configuration: Option<Listing>,
    shipper: Option<Box<dyn Shipper>>,
    shipping_cpu_share: Option<f64>,
    backup: Option<BackupOutcome>,
    live_restores: Vec<LiveRestore>,
    disaster_ns: u64,
    restore: Option<RestoreOutcome>,
    /// Acknowledged writes that the application itself had never written; unknown where nobody looked.
    never_written: Option<Vec<(u32, u64)>>,
    verified: Option<verify::Report>,
    /// What the verifier could not do, when it crashed.
    verifier_error: Option<String>,
    harness_before: Counters,
    /// Unmounted last, when nobody uses it any more.
    file_system: Option<Mounted>,
}

impl Drop for Drill<'_> {
    fn drop(&mut self) {
        // What a command has put into the background neither keeps a file system from being unmounted nor disturbs the
        // next trial.
        kill_marked(self.site.directory);
    }
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
    /// What the strategy's commands printed last.
    output: String,
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
            extents: None,
            epoch_ns: 0,
            reference: Span { from_ns: 0, to_ns: 0 },
            died: None,
            program: None,
            configuration: None,
            shipper: None,
            shipping_cpu_share: None,
            backup: None,
            live_restores: Vec::new(),
            disaster_ns: 0,
            restore: None,
            never_written: None,
            verified: None,
            verifier_error: None,
            harness_before: own_counters(),
            file_system: None,
        }
    }

    fn sampled(&self) -> Sampled {
        Sampled {
            launcher: self.launcher.clone(),
            database: stage::data(self.plan.deployment.engine, &self.place("live")),
            ledger_directory: self.ledger(),
            writers: self.plan.model.writers,
            destination: self.place("artifact"),
        }
    }

    fn provision(&mut self) -> Result<Subject> {
        let mut subject = self.stage("live")?;
        calibration::duplicate(&self.launcher, &self.site.source.database, subject.data())?;
        self.break_up(subject.data())?;
        stage::set_journal_mode(self.plan.deployment, subject.data())?;
        if self.strategy.takes_configuration() {
            let beside = self.place("live").join(configuration::DIRECTORY);
            self.configuration =
                Some(configuration::make(&beside).context("cannot make configuration files")?);
        }
        subject.start_services()?;
        self.epoch_ns = now_ns() + LEAD_NS;
        subject.begin(Task::Work {
            load: self.plan.load,
            ledger_directory: self.ledger(),
            epoch_ns: self.epoch_ns,
        })?;
        self.site.cancel.sleep_until(Instant::now() + SETTLE)?;
        Ok(subject)
    }

    fn reference(&mut self, subject: &Subject) -> Result<()> {
        let from_ns = self.board.enter("reference");
        self.wait(subject, self.scenario.trial.reference_seconds)?;
        self.reference = Span { from_ns, to_ns: self.board.enter("settle") };
        self.settle(subject)
    }

    /// Makes the plain copy that the backup is compared with, of the same bytes and right before it, and brings the
    /// machine into the same state once more. The copy stays until the backup is over: deleting it would give the
    /// backup memory and disk that the copy did not have.
    fn settle(&mut self, subject: &Subject) -> Result<()> {
        let (source, cache) = (&self.site.source.database, self.scenario.subject.cache);
        if self.scenario.subject.extents.is_some() {
            self.extents = extents::count(subject.data()).ok();
        }
        let copy = self.place("scratch").join("copy");
        self.copy_seconds = Some(calibration::copy(&self.launcher, source, &copy, cache)?);
        calibration::prepare(&self.launcher, subject.data(), cache)
    }

    /// True while the application has not ended by itself.
    fn alive(&self) -> bool {
        self.died.is_none()
    }

    fn has_artifact(&self) -> bool {
        self.backup.as_ref().is_some_and(|backup| backup.halt.is_none())
    }

    /// True when the backup can begin.
    fn arm(&mut self, subject: &mut Subject) -> Result<bool> {
        let from_ns = self.board.enter("arm");
        let mut watch = self.watch(self.place("artifact"), None);
        let armed = self.with_backup_context(subject, &mut watch, |strategy, context| strategy.arm(context));
        match armed {
            Ok(shipper) => {
                self.shipper = shipper;
                Ok(true)
            }
            Err(Halt::Error(error)) => Err(error),
            Err(halt) => {
                let span = Span { from_ns, to_ns: now_ns() };
                self.backup = Some(BackupOutcome {
                    span,
                    durable_ns: None,
                    halt: Some(halt),
                    watch,
                    artifact_bytes: None,
                });
                Ok(false)
            }
        }
    }

    fn watch(&self, directory: PathBuf, stall_after: Option<Duration>) -> Watch {
        let deadline = Duration::from_secs_f64(self.scenario.trial.deadline_seconds);
        Watch::new(&self.launcher, &directory, deadline, stall_after)
    }

    /// True when there is an artifact.
    fn backup(&mut self, subject: &mut Subject) -> Result<bool> {
        self.cached_share = storage::cached_share(subject.data()).ok();
        let copy_seconds = self.copy_seconds.expect("a settled trial has its copy");
        let stall_after = Duration::from_secs_f64(stall_seconds(self.scenario, copy_seconds));
        let from_ns = self.board.enter("backup");
        let mut watch = self.watch(self.place("artifact"), Some(stall_after));
        watch.expected_bytes = Some(self.site.source.bytes);
        self.board.follow(Some(watch.remaining.clone()));
        let before = self.shipped();
        let halt =
            self.with_backup_context(subject, &mut watch, |strategy, context| strategy.backup(context)).err();
        let to_ns = now_ns();
        self.board.follow(None);
        if let Some((before, after)) = before.zip(self.shipped()) {
            watch.counters.add(&after.since(&before));
        }
        if let Some(Halt::Error(error)) = halt {
            return Err(error);
        }
        let succeeded = halt.is_none();
        self.note_life(subject);
        self.backup = Some(BackupOutcome {
            span: Span { from_ns: watch.began_ns.unwrap_or(from_ns), to_ns },
            durable_ns: watch.durable_ns.filter(|_| succeeded),
            halt,
            watch,
            artifact_bytes: succeeded.then(|| self.strategy.artifact_bytes(&self.place("artifact"))),
        });
        Ok(succeeded)
    }

    fn disaster(&mut self, subject: &mut Subject) -> Result<()> {
        std::fs::remove_dir_all(self.place("scratch")).context("cannot remove the scratch directory")?;
        if let Some((ended, backup)) =
            self.shipper.as_ref().and_then(|shipper| shipper.ended()).zip(self.backup.as_mut())
        {
            backup.halt.get_or_insert(Halt::Failed(ended));
        }
        if let Some(shipper) = &mut self.shipper {
            shipper.note();
        }
        self.disaster_ns = self.board.enter("disaster");
        // At one instant, as far as one processor can; the rest only waits for their ends.
        self.launcher.kill_all(Account::Subject);
        self.launcher.kill_all(Account::Strategy);
        subject.kill();
        if let Some(mut shipper) = self.shipper.take() {
            shipper.kill();
            if let Some(backup) = &mut self.backup {
                backup.watch.note_output(&shipper.last_lines());
            }
        }
        let artifact = self.place("artifact");
        if let Some(backup) = self.backup.as_mut().filter(|backup| backup.halt.is_none()) {
            // What ships goes on after the backup.
            backup.artifact_bytes = Some(self.strategy.artifact_bytes(&artifact));
        }
        std::fs::rename(self.place("live"), self.place("lost"))
            .context("cannot take the data directory away")?;
        Ok(())
    }

    fn moments(&self) -> Moments {
        let backup = self.backup.as_ref().expect("only what was backed up is restored");
        Moments { backup_began_ns: backup.span.from_ns, disaster_ns: self.disaster_ns }
    }

    /// True when there is something to serve.
    fn restore(&mut self, restored: &mut Subject) -> Result<bool> {
        let started = self.board.enter("restore");
        let (restoring, output) = self.restore_into(restored, self.place("restored"), self.moments());
        let halt = restoring.err();
        if let Some(Halt::Error(error)) = halt {
            return Err(error);
        }
        let succeeded = halt.is_none();
        let seconds = seconds_between(started, now_ns());
        self.restore = Some(RestoreOutcome { seconds, halt, output, served: None });
        Ok(succeeded)
    }

    /// Has the strategy restore its artifact, and gives what its commands printed last.
    fn restore_into(
        &self,
        restored: &mut Subject,
        place: PathBuf,
        moments: Moments,
    ) -> (Result<(), Halt>, String) {
        let mut watch = self.watch(place, None);
        let mut context = RestoreContext {
            artifact: &self.place("artifact"),
            subject: restored,
            settings: &self.plan.settings,
            scenario_directory: &self.scenario.directory,
            moments,
            watch: &mut watch,
            tools: self.tools(),
            program: self.program.as_ref(),
        };
        let outcome = self.strategy.restore(&mut context);
        (outcome, watch.output)
    }

    fn serve(&mut self, restored: &mut Subject) -> Result<()> {
        self.board.enter("serve");
        let served = match restored.serve() {
            Ok(()) => Ok(seconds_between(self.disaster_ns, now_ns())),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => Err(error.to_string()),
        };
        // The verifier wants the database to itself. One that is damaged may refuse to close in good order:
        // what that left behind is for the verifier to find.
        if let Err(Error::Interrupted) = restored.retire() {
            return Err(Error::Interrupted);
        }
        self.restore.as_mut().expect("only what was restored is asked to serve").served = Some(served);
        Ok(())
    }

    /// The workload alone, for some time.
    fn wait(&mut self, subject: &Subject, seconds: f64) -> Result<()> {
        self.site.cancel.sleep_until(Instant::now() + Duration::from_secs_f64(seconds))?;
        self.note_life(subject);
        Ok(())
    }

    /// Notes the phase when the application has ended by itself: such a trial proves nothing.
    fn note_life(&mut self, subject: &Subject) {
        if self.died.is_none() && !subject.is_running() {
            let phase = self.board.phases().last().map_or(String::new(), |start| start.phase.clone());
            let how = subject.ended_service().map_or(String::new(), |how| format!(": {how}"));
            self.died = Some(format!("'{phase}'{how}"));
        }
    }
}

fn own_counters() -> Counters {
    Counters::of(std::process::id() as i32).unwrap_or_default()
}
