//! The tail, with restores of a continuous replica while the application runs, and step 9 for each of these restores.

use std::time::Instant;

use anyhow::Context;
use engines::subject::Subject;
use machine::error::Result;
use machine::measure::clock::{now_ns, seconds_between};
use model::verify;
use reports::record;
use strategies::contract::FailureCause;

use super::context::TrialContext;
use super::live_restore::{LiveRestore, place_of};
use super::phase_results::{Armed, Artifact, PhaseResults, Tail};

impl TrialContext<'_> {
    /// The workload alone, interrupted by as many restores as the variant asks for.
    pub(super) fn tail(
        &self,
        subject: &Subject,
        armed: &Armed,
        artifact: &Artifact,
        tail: &mut Tail,
    ) -> Result<()> {
        let from_ns = self.timeline.enter("tail");
        let before = armed.replication_counters();
        let restores = self.plan.strategy.abilities().live_restores;
        let pause_seconds = self.scenario.trial.tail_seconds / f64::from(restores + 1);
        for number in 1..=restores {
            self.pause(subject, pause_seconds, tail)?;
            match self.restore_live(number, artifact)? {
                Ok(restored) => tail.live_restores.push(restored),
                Err(failure) => {
                    tail.failure = Some(failure);
                    break;
                }
            }
        }
        self.pause(subject, pause_seconds, tail)?;
        let after = before.zip(armed.replication_counters());
        tail.shipping_cpu_share = after
            .map(|(before, after)| after.since(&before).cpu_seconds / seconds_between(from_ns, now_ns()));
        Ok(())
    }

    fn pause(&self, subject: &Subject, seconds: f64, tail: &mut Tail) -> Result<()> {
        self.wait(seconds)?;
        if tail.died.is_none() {
            tail.died = self.died(subject);
        }
        Ok(())
    }

    /// A restored database. If it cannot be made, the backup has failed.
    fn restore_live(
        &self,
        number: u32,
        artifact: &Artifact,
    ) -> Result<std::result::Result<LiveRestore, FailureCause>> {
        let name = place_of(number);
        let place = self.place(&name);
        std::fs::create_dir(&place).context("cannot make a directory for a restore")?;
        let mut subject = self.stage(&name)?;
        let (at_ns, began) = (now_ns(), Instant::now());
        match self.restore_into(&mut subject, place, artifact.moments(at_ns)) {
            Ok(_) => Ok(Ok(LiveRestore { subject, at_ns, seconds: began.elapsed().as_secs_f64() })),
            Err(failure) => match failure.cause {
                FailureCause::Error(error) => Err(error),
                FailureCause::Failed(message) => {
                    let message = format!("restore {number} while the application ran: {message}");
                    Ok(Err(FailureCause::Failed(message)))
                }
                other => Ok(Err(other)),
            },
        }
    }

    /// Verifies each of them with the ledger, as if the disaster had been when the restore began.
    pub(super) fn verify_live_restores(
        &self,
        live_restores: &[LiveRestore],
        artifact: &Artifact,
        never_written: &[(u32, u64)],
    ) -> Result<Vec<std::result::Result<verify::Report, String>>> {
        let verify = |live: &LiveRestore| {
            self.ask_verifier(self.request(live.subject.location(), artifact, live.at_ns, never_written))
        };
        live_restores.iter().map(verify).collect()
    }

    pub(super) fn live_records(&self, results: &PhaseResults) -> Vec<record::LiveRestore> {
        let reports = results.live_reports();
        let record = |(index, live): (usize, &LiveRestore)| {
            let (recovery_point, verification) = match reports.get(index) {
                Some(Ok(report)) => (report.recovery_point.clone(), self.checks(&report.verification)),
                unmade => {
                    let error = unmade.and_then(|report| report.as_ref().err());
                    let findings = vec![error.map_or("it was not verified", String::as_str).to_owned()];
                    let unmade = record::Verification { findings, ..record::Verification::default() };
                    (None, self.checks(&unmade))
                }
            };
            let (at_seconds, seconds) = (self.timeline.at_seconds(live.at_ns), live.seconds);
            record::LiveRestore { at_seconds, seconds, recovery_point, verification }
        };
        results.tail.live_restores.iter().enumerate().map(record).collect()
    }
}
