//! What all phases of a trial use, and none of them changes.

use engines::secret::Secret;
use engines::subject::Subject;
use machine::error::Result;
use machine::file_system::TemporaryFileSystem;
use machine::process::{Account, Counters, Launcher, LimitedGroup, Limits, kill_marked};
use machine::tool::Program;

use super::environment::TrialEnvironment;
use crate::plan::TrialPlan;
use crate::scenario::Scenario;
use crate::trial::sampler::{Sampled, Timeline};

/// What all phases of a trial use, and none of them changes: what they find is in
/// [`PhaseResults`](super::phase_results::PhaseResults).
pub(super) struct TrialContext<'a> {
    pub(super) plan: &'a TrialPlan,
    pub(super) scenario: &'a Scenario,
    pub(super) environment: &'a TrialEnvironment<'a>,
    /// The password of every database server of the trial.
    pub(super) password: Secret,
    pub(super) launcher: Launcher,
    pub(super) timeline: Timeline,
    /// The strategy's program, if its settings name one.
    pub(super) program: Option<Program>,
    pub(super) survives_disk_loss: Option<bool>,
    /// Resources that this process had used before the trial.
    pub(super) harness_before: Counters,
    /// The separate file system of the artifacts, if the fault needs one.
    pub(super) destination: Option<TemporaryFileSystem>,
    /// The last field, so that it is unmounted when nothing uses it any more.
    pub(super) file_system: Option<TemporaryFileSystem>,
}

impl Drop for TrialContext<'_> {
    fn drop(&mut self) {
        // A background process of a command must neither prevent the file system from being unmounted nor disturb the
        // next trial.
        kill_marked(self.environment.directory);
    }
}

impl<'a> TrialContext<'a> {
    /// Without what must be [obtained](TrialContext::obtain) before the first phase.
    pub(super) fn new(
        plan: &'a TrialPlan,
        scenario: &'a Scenario,
        environment: &'a TrialEnvironment<'a>,
        password: Secret,
    ) -> TrialContext<'a> {
        let timeline = Timeline::start();
        timeline.enter("provision");
        TrialContext {
            plan,
            scenario,
            environment,
            password,
            launcher: Launcher::new(environment.directory, environment.cancel),
            timeline,
            program: None,
            survives_disk_loss: None,
            harness_before: own_counters(),
            destination: None,
            file_system: None,
        }
    }

    /// Sets the scenario's limits on what the strategy may use.
    pub(super) fn limit_strategy(&self) -> Result<()> {
        let limits = self.scenario.trial.limits();
        if limits != Limits::default() {
            let group = LimitedGroup::make(limits)?;
            self.launcher.processes().confine(Account::Strategy, Some(group));
        }
        Ok(())
    }

    pub(super) fn sampled(&self) -> Sampled {
        Sampled {
            launcher: self.launcher.clone(),
            database: self.plan.deployment.engine.data(&self.place("live")),
            ledger_directory: self.ledger(),
            writers: self.plan.model.writers,
            destination: self.artifact(),
        }
    }

    /// If the application has exited unexpectedly: the current phase, and what is known about that. Such a trial is
    /// unverified.
    pub(super) fn died(&self, subject: &Subject) -> Option<String> {
        let how = || subject.ended().map_or(String::new(), |how| format!(": {how}"));
        (!subject.is_running()).then(|| format!("'{}'{}", self.phase(), how()))
    }

    pub(super) fn phase(&self) -> String {
        self.timeline.phases().last().map_or(String::new(), |start| start.phase.clone())
    }
}

/// Resources that this process has used so far.
pub(super) fn own_counters() -> Counters {
    Counters::of(std::process::id() as i32).unwrap_or(Counters::UNKNOWN)
}
