//! A trial in progress: what its phases have found so far, and hand on to each other and to the record.

use engines::configuration::Listing;
use engines::mysql::connection::Secret;
use engines::sqlite::log_watch::LogEvents;
use engines::subject::Subject;
use machine::file_system::Mounted;
use machine::measure::clock::Span;
use machine::process::{Counters, Launcher, kill_marked};
use machine::tool::Program;
use model::verify;
use strategies::halt::Halt;
use strategies::strategy::{Moments, Shipper, Strategy};
use strategies::watch::Watch;

use super::evidence::Seen;
use super::live_restores::LiveRestore;
use super::{Site, stage};
use crate::plan::TrialPlan;
use crate::scenario::Scenario;
use crate::trial::sampler::{Board, Sampled};

/// A trial in progress: what is known so far.
pub(super) struct Drill<'a> {
    pub(super) plan: &'a TrialPlan,
    pub(super) scenario: &'a Scenario,
    pub(super) site: &'a Site<'a>,
    pub(super) strategy: &'static dyn Strategy,
    /// Of every database server of the trial.
    pub(super) password: Secret,
    pub(super) launcher: Launcher,
    pub(super) board: std::sync::Arc<Board>,
    pub(super) copy_seconds: Option<f64>,
    pub(super) cached_share: Option<f64>,
    /// Extents of the live database, where the scenario asks for a number of them.
    pub(super) extents: Option<u64>,
    pub(super) epoch_ns: u64,
    pub(super) reference: Span,
    /// The phase in which the application ended by itself, and what is known about that.
    pub(super) died: Option<String>,
    /// What ended the trial early that is no strategy's fault.
    pub(super) obstacle: Option<String>,
    /// The strategy's program, where its settings name one.
    pub(super) program: Option<Program>,
    pub(super) survives_disk_loss: Option<bool>,
    /// The configuration files as they were, where the strategy takes them along.
    pub(super) configuration: Option<Listing>,
    pub(super) shipper: Option<Box<dyn Shipper>>,
    pub(super) shipping_cpu_share: Option<f64>,
    pub(super) backup: Option<BackupOutcome>,
    pub(super) live_restores: Vec<LiveRestore>,
    pub(super) disaster_ns: u64,
    pub(super) restore: Option<RestoreOutcome>,
    /// Acknowledged writes that the application itself had never written; unknown where nobody looked.
    pub(super) never_written: Option<Vec<(u32, u64)>>,
    pub(super) verified: Option<verify::Report>,
    /// What the verifier could not do, when it crashed.
    pub(super) verifier_error: Option<String>,
    /// What the verdict rests on besides the verifier's reports, once the trial is over.
    pub(super) seen: Option<Seen>,
    pub(super) harness_before: Counters,
    /// Unmounted last, when nobody uses it any more.
    pub(super) file_system: Option<Mounted>,
}

impl Drop for Drill<'_> {
    fn drop(&mut self) {
        // What a command has put into the background neither keeps a file system from being unmounted nor disturbs the
        // next trial.
        kill_marked(self.site.directory);
    }
}

/// What the backup came to.
pub(super) struct BackupOutcome {
    pub(super) span: Span,
    /// When the artifact was durable.
    pub(super) durable_ns: Option<u64>,
    pub(super) halt: Option<Halt>,
    pub(super) watch: Watch,
    pub(super) artifact_bytes: Option<u64>,
    /// What ships adds to the artifact until the disaster: a restore is from more than there was when this was over.
    pub(super) grows_on: bool,
    /// When the artifact was made; `None` where there is none.
    pub(super) copying: Option<Span>,
    /// What happened to the log meanwhile; `None` where there is no log that could be watched.
    pub(super) log_events: Option<LogEvents>,
}

/// What the restore came to.
pub(super) struct RestoreOutcome {
    pub(super) seconds: f64,
    pub(super) halt: Option<Halt>,
    /// What the strategy's commands printed last.
    pub(super) output: String,
    /// How it served, once it was asked to.
    pub(super) served: Option<Result<f64, String>>,
}

impl<'a> Drill<'a> {
    pub(super) fn new(
        plan: &'a TrialPlan,
        scenario: &'a Scenario,
        site: &'a Site<'a>,
        strategy: &'static dyn Strategy,
        password: Secret,
    ) -> Drill<'a> {
        let board = std::sync::Arc::new(Board::start());
        board.enter("provision");
        Drill {
            plan,
            scenario,
            site,
            strategy,
            password,
            launcher: Launcher::new(site.directory, site.cancel),
            board,
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
            shipper: None,
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
            database: stage::data(self.plan.deployment.engine, &self.place("live")),
            ledger_directory: self.ledger(),
            writers: self.plan.model.writers,
            destination: self.place("artifact"),
        }
    }

    /// Notes the phase when the application has ended by itself: such a trial proves nothing.
    pub(super) fn note_life(&mut self, subject: &Subject) {
        if self.died.is_none() && !subject.is_running() {
            let how = subject.ended().map_or(String::new(), |how| format!(": {how}"));
            self.died = Some(format!("'{}'{how}", self.phase()));
        }
    }

    pub(super) fn phase(&self) -> String {
        self.board.phases().last().map_or(String::new(), |start| start.phase.clone())
    }

    pub(super) fn moments(&self) -> Moments {
        let backup = self.backup.as_ref().expect("only what was backed up is restored");
        Moments { backup_began_ns: backup.span.from_ns, disaster_ns: self.disaster_ns }
    }
}

/// What this process has used so far.
pub(super) fn own_counters() -> Counters {
    Counters::of(std::process::id() as i32).unwrap_or(Counters::UNKNOWN)
}
