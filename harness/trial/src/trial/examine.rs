//! Step 9: verifies the restored database, also against the database that the disaster left.

use std::path::Path;

use anyhow::Context;
use engines::configuration::{self, Listing};
use engines::database::{Database, Unwritten, Verify};
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::process::Account;
use model::verify;
use reports::record::Check;

use super::context::TrialContext;
use super::live_restore::LiveRestore;
use super::phase_results::{Artifact, Lost, Provisioned, Verified};

/// Compares restored configuration files with the files before the backup.
pub(super) fn hold_configuration(
    before: &Listing,
    directory: &Path,
    report: &mut verify::Report,
) -> Result<()> {
    let after = configuration::list(directory).context("cannot list the restored configuration files")?;
    let differences = configuration::differences(before, &after);
    let passed = differences.is_empty();
    report.verification.configuration = Some(if passed { Check::Pass } else { Check::Fail });
    report.verification.findings.extend(differences);
    Ok(())
}

impl TrialContext<'_> {
    pub(super) fn verify(
        &self,
        restored: &Subject,
        artifact: &Artifact,
        live_restores: &[LiveRestore],
        lost: &Lost,
    ) -> Result<Verified> {
        self.timeline.enter("verify");
        let mut verified = self.verify_database(restored, artifact, lost)?;
        // If the writes that the application lost are not known, those that the strategy lost are not known either.
        if verified.database.is_ok() {
            let never_written = verified.never_written.as_deref().unwrap_or_default();
            verified.live = self.verify_live_restores(live_restores, artifact, never_written)?;
        }
        Ok(verified)
    }

    /// Compares the configuration files that were restored with the database with the original ones, which completes
    /// the report.
    pub(super) fn verify_configuration(
        &self,
        provisioned: &Provisioned,
        verified: &mut Verified,
    ) -> Result<()> {
        let directory = self.place("restored").join(configuration::DIRECTORY);
        match (&provisioned.configuration, &mut verified.database) {
            (Some(before), Ok(report)) => hold_configuration(before, &directory, report),
            _ => Ok(()),
        }
    }

    fn verify_database(&self, restored: &Subject, artifact: &Artifact, lost: &Lost) -> Result<Verified> {
        let found = |database, never_written| Ok(Verified { never_written, database, live: Vec::new() });
        // An engine that does not run on the restored data has found it damaged.
        if let Some(ended) = restored.ended_engine() {
            return found(Ok(verify::refused_by_the_engine(&ended)), None);
        }
        let never_written = match self.examine_the_lost(artifact, lost) {
            Ok(never_written) => never_written,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                // Without it, writes that the application lost would be attributed to the strategy.
                let cause = format!("cannot examine the database that the disaster left: {error}");
                return found(Err(cause), None);
            }
        };
        let lacking = never_written.as_deref().unwrap_or_default();
        let request = self.request(restored.location(), artifact, lost.disaster_ns, lacking);
        found(restored.report_or_crash(self.ask_verifier(request)?), never_written)
    }

    /// The verifier's report, or the error with which it failed: if it crashes, the trial is unverified, and the run
    /// continues.
    pub(super) fn ask_verifier(
        &self,
        request: verify::Request<Database>,
    ) -> Result<Result<verify::Report, String>> {
        let job = Verify { request, dataset: self.plan.dataset.clone() };
        match self.launcher.work(Account::Harness, &job, &mut |_| {}) {
            Ok(report) => Ok(Ok(report)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// What the verifier is asked about a database that was restored after a disaster at `disaster_ns`.
    pub(super) fn request<D>(
        &self,
        database: D,
        artifact: &Artifact,
        disaster_ns: u64,
        never_written: &[(u32, u64)],
    ) -> verify::Request<D> {
        let kept = self.plan.strategy.kept(&artifact.moments(disaster_ns));
        verify::Request {
            database,
            ledger: self.ledger(),
            model: self.plan.model.clone(),
            expected: self.environment.source.content.clone(),
            integrity: self.plan.level,
            keep_acknowledged_before_ns: kept.acknowledged_before_ns,
            lack_sent_after_ns: kept.sent_after_ns,
            without_never_completed: self.plan.strategy.abilities().leaves_out_never_completed,
            never_written: never_written.to_vec(),
            backup_completed_ns: (!artifact.grows_on).then_some(artifact.durable_ns),
            disaster_ns,
        }
    }

    /// Writes that the application acknowledged but that are missing from the database that the disaster left.
    fn examine_the_lost(&self, artifact: &Artifact, lost: &Lost) -> Result<Option<Vec<(u32, u64)>>> {
        if !self.plan.examines_the_lost() {
            return Ok(None);
        }
        let mut subject = self.stage("lost")?;
        subject.recover()?;
        let request = self.request(subject.location(), artifact, lost.disaster_ns, &[]);
        let request = verify::Request { without_never_completed: false, ..request };
        let job = Unwritten { request, dataset: self.plan.dataset.clone() };
        self.launcher.work(Account::Harness, &job, &mut |_| {}).map(Some)
    }
}
