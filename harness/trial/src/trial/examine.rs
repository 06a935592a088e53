//! Step 9: verifies the restored database, also against the database that the disaster left.

use std::path::Path;

use anyhow::Context;
use engines::applications::App;
use engines::configuration::{self, Listing};
use engines::database::{Unwritten, Verify};
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::process::Account;
use model::verify;
use reports::record::Check;
use strategies::contract::Moments;

use super::drill::Drill;

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

impl Drill<'_> {
    pub(super) fn verify(&mut self, restored: &mut Subject) -> Result<()> {
        self.timeline.enter("verify");
        self.verify_database(restored)?;
        // If the writes that the application lost are not known, those that the strategy lost are not known either.
        if self.verified.is_some() {
            self.verify_live_restores()?;
        }
        self.verify_configuration()
    }

    /// Compares the configuration files that were restored with the database with the original ones.
    fn verify_configuration(&mut self) -> Result<()> {
        let directory = self.place("restored").join(configuration::DIRECTORY);
        match self.configuration.as_ref().zip(self.verified.as_mut()) {
            Some((before, report)) => hold_configuration(before, &directory, report),
            None => Ok(()),
        }
    }

    fn verify_database(&mut self, restored: &mut Subject) -> Result<()> {
        if let Some(ended) = restored.ended_engine() {
            // An engine that does not run on the restored data has found it damaged.
            self.verified = Some(verify::refused_by_the_engine(&ended));
            return Ok(());
        }
        match self.examine_the_lost() {
            Ok(never_written) => self.never_written = never_written,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                // Without it, writes that the application lost would be attributed to the strategy.
                self.verifier_error =
                    Some(format!("cannot examine the database that the disaster left: {error}"));
                return Ok(());
            }
        }
        let request = self.request(restored.location(), &self.moments());
        let job = Verify { request, dataset: self.plan.dataset.clone() };
        match self.launcher.work(Account::Harness, &job, &mut |_| {}) {
            Ok(report) => self.verified = Some(report),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // If the verifier crashes, the trial is unverified; the run continues.
            Err(error) => self.verifier_error = Some(error.to_string()),
        }
        if let Some(ended) = restored.ended_engine() {
            // A server exits when it reads a damaged page.
            self.verified = Some(verify::refused_by_the_engine(&ended));
        }
        Ok(())
    }

    /// What the verifier is asked about a database that was restored in a trial with these moments.
    pub(super) fn request<D>(&self, database: D, moments: &Moments) -> verify::Request<D> {
        let backup = self.backup.as_ref().expect("a restore follows a backup");
        let kept = self.plan.strategy.kept(moments);
        verify::Request {
            database,
            ledger: self.ledger(),
            model: self.plan.model.clone(),
            expected: self.environment.source.content.clone(),
            integrity: self.plan.level,
            keep_acknowledged_before_ns: kept.acknowledged_before_ns,
            lack_sent_after_ns: kept.sent_after_ns,
            without_never_completed: self.plan.strategy.abilities().leaves_out_never_completed,
            never_written: self.never_written.clone().unwrap_or_default(),
            backup_completed_ns: (!backup.grows_on).then(|| backup.durable_ns.unwrap_or(backup.span.to_ns)),
            disaster_ns: moments.disaster_ns,
        }
    }

    /// Writes that the application acknowledged but that are missing from the database that the disaster left. Only the
    /// tracker is checked: the embedded application acknowledges a write only after its commit.
    fn examine_the_lost(&self) -> Result<Option<Vec<(u32, u64)>>> {
        if self.plan.deployment.app == App::Embedded {
            return Ok(None);
        }
        let mut lost = self.stage("lost")?;
        lost.recover()?;
        let request = self.request(lost.location(), &self.moments());
        let request = verify::Request { without_never_completed: false, ..request };
        let job = Unwritten { request, dataset: self.plan.dataset.clone() };
        self.launcher.work(Account::Harness, &job, &mut |_| {}).map(Some)
    }
}
