//! What the phases of a trial found: a value for each, which later phases and the record read and do not change.

use engines::configuration::Listing;
use engines::log_events::LogEvents;
use machine::measure::clock::Span;
use machine::process::Counters;
use model::verify;
use offsite::destination::DestinationChoice;
use offsite::jobs::Published;
use reports::record;
use strategies::contract::{FailureCause, Measured, Moments, Replication};

use super::live_restore::LiveRestore;
use super::observed::Observed;
use super::verdict::Evidence;
use crate::stages::Provided;

/// The results of a trial's phases, each from when its phase is complete. A trial that ends early has those of the
/// phases before.
#[derive(Default)]
pub(super) struct PhaseResults {
    pub(super) provisioned: Option<Provisioned>,
    pub(super) referenced: Option<Referenced>,
    pub(super) settled: Option<Settled>,
    pub(super) armed: Option<Armed>,
    pub(super) backed_up: Option<BackedUp>,
    /// What a fault did. Filled while the phases run.
    pub(super) fault: FaultResults,
    /// What the stages did. Filled while they run.
    pub(super) offsite: OffsiteResults,
    /// Filled while the phase runs: an error in it takes back no restore that was made.
    pub(super) tail: Tail,
    pub(super) lost: Option<Lost>,
    pub(super) restored: Option<Restored>,
    /// The recovery time in seconds, or why the restored subject did not respond.
    pub(super) served: Option<Result<f64, String>>,
    pub(super) verified: Option<Verified>,
}

/// The subject is running, and the workload has begun.
pub(super) struct Provisioned {
    /// The beginning of the schedule of the writes.
    pub(super) epoch_ns: u64,
    /// The configuration files before the backup, if the strategy backs them up.
    pub(super) configuration: Option<Listing>,
}

/// The workload has run alone.
pub(super) struct Referenced {
    /// The reference window.
    pub(super) span: Span,
    /// Number of extents of the live database after it, if the scenario sets a number of them.
    pub(super) extents: Option<u64>,
    /// The phase in which the application exited unexpectedly, and what is known about that.
    pub(super) died: Option<String>,
}

/// The machine is in the state that the scenario asks for.
pub(super) struct Settled {
    /// Duration of the plain copy that the backup is compared with.
    pub(super) copy_seconds: f64,
}

/// The backup can begin.
pub(super) struct Armed {
    /// Continuous replication, for strategies that use it; until the disaster.
    pub(super) replication: Option<Box<dyn Replication>>,
    /// Share of the live database that is in the page cache.
    pub(super) cached_share: Option<f64>,
}

/// The strategy's backup has returned.
pub(super) struct CalledBackup {
    pub(super) span: Span,
    /// When the artifact was durable, or why there is none.
    pub(super) durable_ns: Result<u64, FailureCause>,
    pub(super) measured: Measured,
    /// As in [`BackedUp::log_events`].
    pub(super) log_events: Option<LogEvents>,
}

/// The backup has ended.
pub(super) struct BackedUp {
    pub(super) span: Span,
    pub(super) measured: Measured,
    /// The artifact, or why there is none.
    pub(super) artifact: Result<Artifact, FailureCause>,
    /// What happened to the log during the backup; `None` if there is no log to watch.
    pub(super) log_events: Option<LogEvents>,
    /// As in [`Referenced::died`].
    pub(super) died: Option<String>,
}

/// What a backup that succeeded has made.
pub(super) struct Artifact {
    /// When its backup began.
    pub(super) began_ns: u64,
    /// When the backup that a restore takes began and ended, if it is an older one.
    pub(super) older_backup_ns: Option<(u64, u64)>,
    pub(super) durable_ns: u64,
    /// Its size at the end of the backup phase.
    pub(super) bytes: Option<u64>,
    /// When its files were made.
    pub(super) copying: Span,
    /// Continuous replication adds to it until the disaster, so that a restore uses more than it contained at the end
    /// of the backup phase.
    pub(super) grows_on: bool,
}

/// What a fault did, and what came through it.
#[derive(Default)]
pub(super) struct FaultResults {
    /// When it struck, and the proof of that.
    pub(super) strike: Option<(u64, String)>,
    /// When it was over, and the application worked again.
    pub(super) healed_ns: Option<u64>,
    /// When the backup under the fault ended; `None` for a fault of another moment.
    pub(super) ended_ns: Option<u64>,
    /// The backup that was made before the fault.
    pub(super) previous: Option<Artifact>,
    /// The backup that was made after the fault, or why there is none; `None` when none was made.
    pub(super) next: Option<Result<Artifact, String>>,
    /// Why the application did not work after the fault.
    pub(super) source_down: Option<String>,
    /// What a backup that failed left behind.
    pub(super) leftovers: Vec<String>,
    /// The backups that were published before and after the fault; the one after it, or why there is none.
    pub(super) published: Option<(PublishedBackup, Option<Result<PublishedBackup, String>>)>,
    /// Whether the previous backup, the source and the next backup came through.
    pub(super) aftermath: [Option<record::Aftermath>; 3],
}

/// What the stages between backup and disaster did, and those on the way back.
#[derive(Default)]
pub(super) struct OffsiteResults {
    /// The place that the harness provides, until the end of the trial.
    pub(super) provided: Option<Provided>,
    pub(super) published: Option<PublishedBackup>,
    /// Those that have run.
    pub(super) stages: Vec<record::Stage>,
}

/// What was published.
#[derive(Clone)]
pub(super) struct PublishedBackup {
    pub(super) destination: DestinationChoice,
    pub(super) names: Published,
    /// Size of the object.
    pub(super) bytes: u64,
}

/// The workload alone, after a backup.
#[derive(Default)]
pub(super) struct Tail {
    /// The databases that were restored while the application ran, in order.
    pub(super) live_restores: Vec<LiveRestore>,
    /// Why one of these restores failed: the backup has then failed.
    pub(super) failure: Option<FailureCause>,
    pub(super) shipping_cpu_share: Option<f64>,
    /// As in [`Referenced::died`].
    pub(super) died: Option<String>,
}

/// Subject and replication were killed.
pub(super) struct Lost {
    pub(super) disaster_ns: u64,
    /// Size of the artifact, including what continuous replication has added to it after the backup phase.
    pub(super) artifact_bytes: Option<u64>,
    /// Continuous replication had exited before the disaster: the backup has then failed.
    pub(super) failure: Option<FailureCause>,
    /// The last lines that continuous replication printed.
    pub(super) replication_output: String,
}

/// The restore has ended.
pub(super) struct Restored {
    pub(super) seconds: f64,
    /// Why it ended without restored data.
    pub(super) failure: Option<FailureCause>,
    /// The last output of the strategy's commands.
    pub(super) output: String,
}

/// The verifier's reports, each or the error with which the verifier failed.
pub(super) struct Verified {
    /// Acknowledged writes that the application itself never wrote to the database; `None` if this was not checked.
    pub(super) never_written: Option<Vec<(u32, u64)>>,
    /// On the database that was restored after the disaster.
    pub(super) database: Result<verify::Report, String>,
    /// On those that were restored while the application ran, in order. Empty if there is no report on the last one.
    pub(super) live: Vec<Result<verify::Report, String>>,
}

/// How the phases of a trial ended.
pub(super) struct Ending {
    /// When the application was killed: in the disaster, or because of the obstacle.
    pub(super) killed_ns: u64,
    /// The times in which the application was stopped on purpose.
    pub(super) outages: Vec<Span>,
    /// An error that ended the trial early and was not caused by the strategy.
    pub(super) obstacle: Option<String>,
}

impl Armed {
    /// Resources that continuous replication has used so far.
    pub(super) fn replication_counters(&self) -> Option<Counters> {
        self.replication.as_ref()?.counters()
    }

    /// Adds the resources that continuous replication used for a backup: all since the reading `before` the backup was
    /// called, unless the strategy returned the part that counts.
    pub(super) fn add_replication(&self, measured: &mut Measured, before: Option<Counters>) {
        if self.replication.is_some() {
            let since_call = || Some(self.replication_counters()?.since(&before?));
            let used = measured.replication.or_else(since_call);
            measured.counters.add(&used.unwrap_or(Counters::UNKNOWN));
        }
    }
}

impl BackedUp {
    /// A backup that ended without an artifact.
    pub(super) fn failed(span: Span, cause: FailureCause, measured: Measured) -> BackedUp {
        BackedUp { span, measured, artifact: Err(cause), log_events: None, died: None }
    }

    /// The artifact, or why there is none that counts: what followed may show that a backup had failed that was
    /// reported as a success.
    pub(super) fn outcome<'a>(
        &'a self,
        tail: &'a Tail,
        lost: Option<&'a Lost>,
    ) -> Result<&'a Artifact, &'a FailureCause> {
        let artifact = self.artifact.as_ref()?;
        let later = tail.failure.as_ref().or_else(|| lost?.failure.as_ref());
        later.map_or(Ok(artifact), Err)
    }
}

impl Restored {
    /// There was nothing to restore.
    pub(super) fn failed(why: String) -> Restored {
        Restored { seconds: 0.0, failure: Some(FailureCause::Failed(why)), output: String::new() }
    }
}

impl Artifact {
    /// The moments of a trial with the disaster at `disaster_ns`, or of a restore at that time.
    pub(super) fn moments(&self, disaster_ns: u64) -> Moments {
        Moments { backup_began_ns: self.began_ns, older_backup_ns: self.older_backup_ns, disaster_ns }
    }
}

impl PhaseResults {
    /// The phase in which the application exited unexpectedly, and what is known about that.
    pub(super) fn died(&self) -> Option<&String> {
        let referenced = self.referenced.as_ref().and_then(|referenced| referenced.died.as_ref());
        let backed_up = || self.backed_up.as_ref()?.died.as_ref();
        referenced.or_else(backed_up).or(self.tail.died.as_ref())
    }

    /// As [`BackedUp::outcome`]; `None` without a backup.
    pub(super) fn backup_outcome(&self) -> Option<Result<&Artifact, &FailureCause>> {
        Some(self.backed_up.as_ref()?.outcome(&self.tail, self.lost.as_ref()))
    }

    /// The verifier's report on the database that was restored after the disaster.
    pub(super) fn report(&self) -> Option<&verify::Report> {
        self.verified.as_ref()?.database.as_ref().ok()
    }

    /// The verifier's reports on the databases that were restored while the application ran.
    pub(super) fn live_reports(&self) -> &[Result<verify::Report, String>] {
        self.verified.as_ref().map_or(&[], |verified| &verified.live)
    }

    /// The evidence for the verdict.
    pub(super) fn evidence<'a>(
        &'a self,
        observed: &'a Observed,
        served: Option<&'a Result<f64, String>>,
    ) -> Evidence<'a> {
        let last = self.verified.as_ref().map(|verified| &verified.database);
        Evidence {
            backup: self.backup_outcome().and_then(Result::err),
            restore: self.restored.as_ref().and_then(|restored| restored.failure.as_ref()),
            ..observed.evidence(served, last, self.live_reports())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> Option<FailureCause> {
        Some(FailureCause::Failed(message.into()))
    }

    fn lost(failure: Option<FailureCause>) -> Lost {
        Lost { disaster_ns: 9, artifact_bytes: None, failure, replication_output: String::new() }
    }

    fn backed_up(artifact: Result<Artifact, FailureCause>) -> BackedUp {
        let span = Span { from_ns: 1, to_ns: 5 };
        BackedUp { span, measured: Measured::default(), artifact, log_events: None, died: None }
    }

    fn artifact() -> Artifact {
        let copying = Span { from_ns: 2, to_ns: 3 };
        Artifact { began_ns: 1, older_backup_ns: None, durable_ns: 4, bytes: None, copying, grows_on: true }
    }

    #[test]
    fn the_first_failure_of_a_backup_is_the_one_that_counts() {
        let outcome = |backup: Option<FailureCause>, tail, disaster| {
            let backed_up = backed_up(backup.map_or(Ok(artifact()), Err));
            let tail = Tail { failure: tail, ..Tail::default() };
            match backed_up.outcome(&tail, Some(&lost(disaster))) {
                Ok(_) => "success".to_owned(),
                Err(cause) => format!("{cause:?}"),
            }
        };
        assert_eq!(outcome(None, None, None), "success");
        assert_eq!(outcome(failed("backup"), failed("tail"), failed("disaster")), r#"Failed("backup")"#);
        assert_eq!(outcome(None, failed("tail"), failed("disaster")), r#"Failed("tail")"#);
        assert_eq!(outcome(None, None, failed("disaster")), r#"Failed("disaster")"#);
    }

    #[test]
    fn an_application_exited_in_the_first_phase_that_noticed_it() {
        let died = |phase: &str| Some(phase.to_owned());
        let mut results = PhaseResults::default();
        assert_eq!(results.died(), None);
        results.tail.died = died("tail");
        assert_eq!(results.died(), died("tail").as_ref());
        results.backed_up = Some(BackedUp { died: died("backup"), ..backed_up(Ok(artifact())) });
        assert_eq!(results.died(), died("backup").as_ref());
        let span = Span { from_ns: 0, to_ns: 1 };
        results.referenced = Some(Referenced { span, extents: None, died: died("reference") });
        assert_eq!(results.died(), died("reference").as_ref());
    }
}
