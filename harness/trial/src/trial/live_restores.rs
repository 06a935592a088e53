//! The tail, with restores of a continuous replica while the application runs, and step 9 for each of these restores.

use std::time::Instant;

use anyhow::Context;
use engines::database::Verify;
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::measure::clock::{now_ns, seconds_between};
use machine::process::Account;
use model::verify;
use reports::record;
use strategies::contract::{FailureCause, Moments};

use super::drill::Drill;
use super::live_restore::{LiveRestore, name_of, place_of};

impl Drill<'_> {
    /// The workload alone, interrupted by as many restores as the variant asks for.
    pub(super) fn tail(&mut self, subject: &Subject) -> Result<()> {
        let from_ns = self.timeline.enter("tail");
        let before = self.replication_counters();
        let restores = self.plan.strategy.abilities().live_restores;
        let pause_seconds = self.scenario.trial.tail_seconds / f64::from(restores + 1);
        for number in 1..=restores {
            self.wait(subject, pause_seconds)?;
            if !self.restore_live(number)? {
                break;
            }
        }
        self.wait(subject, pause_seconds)?;
        let after = before.zip(self.replication_counters());
        self.shipping_cpu_share = after
            .map(|(before, after)| after.since(&before).cpu_seconds / seconds_between(from_ns, now_ns()));
        Ok(())
    }

    /// True when there is a restored database. If it cannot be made, the backup has failed.
    fn restore_live(&mut self, number: u32) -> Result<bool> {
        let name = place_of(number);
        let place = self.place(&name);
        std::fs::create_dir(&place).context("cannot make a directory for a restore")?;
        let mut restored = self.stage(&name)?;
        let (at_ns, began) = (now_ns(), Instant::now());
        let moments = Moments { disaster_ns: at_ns, ..self.moments() };
        match self.restore_into(&mut restored, place, moments) {
            Ok(_) => {
                let seconds = began.elapsed().as_secs_f64();
                self.live_restores.push(LiveRestore { subject: restored, at_ns, seconds, report: None });
                Ok(true)
            }
            Err(failure) => {
                let cause = match failure.cause {
                    FailureCause::Error(error) => return Err(error),
                    FailureCause::Failed(message) => {
                        FailureCause::Failed(format!("restore {number} while the application ran: {message}"))
                    }
                    other => other,
                };
                self.backup.as_mut().expect("a tail follows a backup").failure = Some(cause);
                Ok(false)
            }
        }
    }

    /// Verifies each of them with the ledger, as if the disaster had been when the restore began.
    pub(super) fn verify_live_restores(&mut self) -> Result<()> {
        let mut live_restores = std::mem::take(&mut self.live_restores);
        for live in &mut live_restores {
            let moments = live.moments(self.moments());
            let request = self.request(live.subject.location(), &moments);
            let job = Verify { request, dataset: self.plan.dataset.clone() };
            match self.launcher.work(Account::Harness, &job, &mut |_| {}) {
                Ok(report) => live.report = Some(Ok(report)),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => live.report = Some(Err(error.to_string())),
            }
        }
        self.live_restores = live_restores;
        Ok(())
    }

    /// The verifier's reports on them, each with its name in a reason.
    pub(super) fn live_reports(&self) -> Vec<(String, Result<&verify::Report, &str>)> {
        let all = self.live_restores.len();
        let reports = self.live_restores.iter().zip(1..).filter_map(|(live, number)| {
            Some((name_of(number, all), live.report.as_ref()?.as_ref().map_err(String::as_str)))
        });
        reports.collect()
    }

    pub(super) fn live_records(&self) -> Vec<record::LiveRestore> {
        let record = |live: &LiveRestore| {
            let (recovery_point, verification) = match &live.report {
                Some(Ok(report)) => (report.recovery_point.clone(), self.checks(&report.verification)),
                unmade => {
                    let error = unmade.as_ref().and_then(|report| report.as_ref().err());
                    let findings = vec![error.map_or("it was not verified", String::as_str).to_owned()];
                    let unmade = record::Verification { findings, ..record::Verification::default() };
                    (None, self.checks(&unmade))
                }
            };
            let (at_seconds, seconds) = (self.timeline.at_seconds(live.at_ns), live.seconds);
            record::LiveRestore { at_seconds, seconds, recovery_point, verification }
        };
        self.live_restores.iter().map(record).collect()
    }
}
