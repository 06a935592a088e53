//! A trial in progress: the results of its phases so far, which later phases and the record use.

use engines::configuration::Listing;
use engines::log_events::LogEvents;
use engines::secret::Secret;
use engines::subject::Subject;
use machine::file_system::TemporaryFileSystem;
use machine::measure::clock::Span;
use machine::process::{Counters, Launcher, kill_marked};
use machine::tool::Program;
use model::verify;
use strategies::contract::{FailureCause, Measured, Moments, Replication};

use super::environment::TrialEnvironment;
use super::live_restore::LiveRestore;
use super::seen::Seen;
use crate::plan::TrialPlan;
use crate::scenario::Scenario;
use crate::trial::sampler::{Sampled, Timeline};

/// A trial in progress: the results so far.
pub(super) struct Drill<'a> {
    pub(super) plan: &'a TrialPlan,
    pub(super) scenario: &'a Scenario,
    pub(super) environment: &'a TrialEnvironment<'a>,
    /// The password of every database server of the trial.
    pub(super) password: Secret,
    pub(super) launcher: Launcher,
    pub(super) timeline: std::sync::Arc<Timeline>,
    pub(super) copy_seconds: Option<f64>,
    pub(super) cached_share: Option<f64>,
    /// Number of extents of the live database, if the scenario sets a number of them.
    pub(super) extents: Option<u64>,
    pub(super) epoch_ns: u64,
    pub(super) reference: Span,
    /// The phase in which the application exited unexpectedly, and what is known about that.
    pub(super) died: Option<String>,
    /// An error that ended the trial early and was not caused by the strategy.
    pub(super) obstacle: Option<String>,
    /// The strategy's program, if its settings name one.
    pub(super) program: Option<Program>,
    pub(super) survives_disk_loss: Option<bool>,
    /// The configuration files before the backup, if the strategy backs them up.
    pub(super) configuration: Option<Listing>,
    pub(super) replication: Option<Box<dyn Replication>>,
    pub(super) shipping_cpu_share: Option<f64>,
    pub(super) backup: Option<BackupPhase>,
    pub(super) live_restores: Vec<LiveRestore>,
    pub(super) disaster_ns: u64,
    pub(super) restore: Option<RestorePhase>,
    /// Acknowledged writes that the application itself never wrote to the database; `None` if this was not checked.
    pub(super) never_written: Option<Vec<(u32, u64)>>,
    pub(super) verified: Option<verify::Report>,
    /// The error with which the verifier failed.
    pub(super) verifier_error: Option<String>,
    /// The evidence for the verdict in addition to the verifier's reports; set at the end of the trial.
    pub(super) seen: Option<Seen>,
    pub(super) harness_before: Counters,
    /// The last field, so that it is unmounted when nothing uses it any more.
    pub(super) file_system: Option<TemporaryFileSystem>,
}

impl Drop for Drill<'_> {
    fn drop(&mut self) {
        // A background process of a command must neither prevent the file system from being unmounted nor disturb the
        // next trial.
        kill_marked(self.environment.directory);
    }
}

/// What came of the backup phase.
pub(super) struct BackupPhase {
    pub(super) span: Span,
    /// When the artifact was durable.
    pub(super) durable_ns: Option<u64>,
    /// Why it ended without an artifact.
    pub(super) failure: Option<FailureCause>,
    pub(super) measured: Measured,
    pub(super) artifact_bytes: Option<u64>,
    /// Continuous replication adds to the artifact until the disaster, so that a restore uses more than the artifact
    /// contained at the end of the backup phase.
    pub(super) grows_on: bool,
    /// When the artifact was made; `None` if there is none.
    pub(super) copying: Option<Span>,
    /// What happened to the log during the backup; `None` if there is no log to watch.
    pub(super) log_events: Option<LogEvents>,
}

/// What came of the restore phase.
pub(super) struct RestorePhase {
    pub(super) seconds: f64,
    /// Why it ended without restored data.
    pub(super) failure: Option<FailureCause>,
    /// The last output of the strategy's commands.
    pub(super) output: String,
    /// The recovery time in seconds, or why the restored subject did not respond; `None` before the serve phase.
    pub(super) served: Option<Result<f64, String>>,
}

impl<'a> Drill<'a> {
    pub(super) fn new(
        plan: &'a TrialPlan,
        scenario: &'a Scenario,
        environment: &'a TrialEnvironment<'a>,
        password: Secret,
    ) -> Drill<'a> {
        let timeline = std::sync::Arc::new(Timeline::start());
        timeline.enter("provision");
        Drill {
            plan,
            scenario,
            environment,
            password,
            launcher: Launcher::new(environment.directory, environment.cancel),
            timeline,
            copy_seconds: None,
            cached_share: None,
            extents: None,
            epoch_ns: 0,
            reference: Span { from_ns: 0, to_ns: 0 },
            died: None,
            obstacle: None,
            program: None,
            survives_disk_loss: None,
            configuration: None,
            replication: None,
            shipping_cpu_share: None,
            backup: None,
            live_restores: Vec::new(),
            disaster_ns: 0,
            restore: None,
            never_written: None,
            verified: None,
            verifier_error: None,
            seen: None,
            harness_before: own_counters(),
            file_system: None,
        }
    }

    pub(super) fn sampled(&self) -> Sampled {
        Sampled {
            launcher: self.launcher.clone(),
            database: self.plan.deployment.engine.data(&self.place("live")),
            ledger_directory: self.ledger(),
            writers: self.plan.model.writers,
            destination: self.place("artifact"),
        }
    }

    /// Records the phase if the application has exited unexpectedly: such a trial is unverified.
    pub(super) fn note_life(&mut self, subject: &Subject) {
        if self.died.is_none() && !subject.is_running() {
            let how = subject.ended().map_or(String::new(), |how| format!(": {how}"));
            self.died = Some(format!("'{}'{how}", self.phase()));
        }
    }

    pub(super) fn phase(&self) -> String {
        self.timeline.phases().last().map_or(String::new(), |start| start.phase.clone())
    }

    pub(super) fn moments(&self) -> Moments {
        let backup = self.backup.as_ref().expect("a restore follows a backup");
        Moments { backup_began_ns: backup.span.from_ns, disaster_ns: self.disaster_ns }
    }
}

/// Resources that this process has used so far.
pub(super) fn own_counters() -> Counters {
    Counters::of(std::process::id() as i32).unwrap_or(Counters::UNKNOWN)
}
