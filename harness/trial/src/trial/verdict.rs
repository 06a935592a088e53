//! The verdict on a trial, from its evidence alone.

use model::verify;
use model::verify::findings::NOTHING_RESTORED;
use reports::record::{Check, Verdict};
use strategies::contract::FailureCause;

use super::brief::in_brief;
use crate::trial::impact::{LATE_SHARE_MAX, Offered};

/// The evidence for a verdict.
pub struct Evidence<'a> {
    /// At least one write was acknowledged.
    pub acknowledged: bool,
    /// The phase in which the application exited unexpectedly, and what is known about that.
    pub died: Option<&'a str>,
    /// An error that ended the trial early and was not caused by the strategy: see [`blame`](super::blame).
    pub obstacle: Option<&'a str>,
    /// Why the fault did not strike, in a trial with a fault.
    pub missed: Option<&'a str>,
    /// The load that was offered.
    pub offered: Offered,
    /// Share of the writes that may be refused.
    pub errors_allowed: f64,
    /// Why the backup ended without an artifact.
    pub backup: Option<&'a FailureCause>,
    /// Why the restore ended without a data directory.
    pub restore: Option<&'a FailureCause>,
    /// Recovery time, or why the restored subject did not respond; `None` if it was not started.
    pub served: Option<&'a Result<f64, String>>,
    /// The verifier's report.
    pub verified: Option<&'a verify::Report>,
    /// Its reports on the databases that were restored while the application ran, or its error, each with a name.
    pub live: Vec<(String, Result<&'a verify::Report, &'a str>)>,
    /// The error with which the verifier failed.
    pub verifier_error: Option<&'a str>,
}

impl Evidence<'_> {
    /// The verdict and its reason. A defect that was found counts even in a trial that could not have proved the
    /// database right.
    pub fn verdict(&self) -> (Verdict, String) {
        let failure =
            self.backup.map(|cause| ("backup", cause)).or(self.restore.map(|cause| ("restore", cause)));
        if let Some((_, FailureCause::Unavailable(missing))) = failure {
            return (Verdict::Unavailable, missing.clone());
        }
        if let Some((phase, FailureCause::Failed(message))) = failure {
            return (Verdict::Failed, format!("{phase}: {}", in_brief(message)));
        }
        let wrong = self.wrong();
        if !wrong.is_empty() {
            return (Verdict::Corrupt, wrong);
        }
        if let Some(reason) = self.proved_nothing() {
            return (Verdict::Unverified, reason);
        }
        match failure {
            Some((phase, FailureCause::Stalled(reason))) => {
                return (Verdict::Stalled, format!("{phase}: {reason}"));
            }
            Some((phase, _)) => return (Verdict::TimedOut, format!("{phase}: not complete at the deadline")),
            None => {}
        }
        let Some(report) = self.verified else {
            let error = self.verifier_error.unwrap_or("nothing was restored");
            return (
                Verdict::Unverified,
                format!("the restored database was not verified: {}", in_brief(error)),
            );
        };
        if let Some(Err(error)) = self.served {
            return (
                Verdict::Unverified,
                format!(
                    "all data is present, but the restored application does not respond: {}",
                    in_brief(error)
                ),
            );
        }
        if let Some((name, error)) = self.live.iter().find_map(|(name, report)| Some((name, report.err()?))) {
            return (
                Verdict::Unverified,
                format!("{name}the restored database was not verified: {}", in_brief(error)),
            );
        }
        let all = || std::iter::once(("", report)).chain(self.live());
        if let Some(unmade) =
            all().find_map(|(name, report)| Some(format!("{name}{}", unmade_check(report)?)))
        {
            return (Verdict::Unverified, unmade);
        }
        if let Some((name, report)) = all().find(|(_, report)| report.verification.loss == Some(Check::Fail))
        {
            let findings = first_findings(report, "a promised write is missing");
            return (Verdict::Lossy, format!("{name}{findings}"));
        }
        let remarks = all().flat_map(|(_, report)| &report.verification.remarks);
        let remarks = remarks.map(|remark| format!("; remark: {}", in_brief(remark)));
        (Verdict::Restorable, std::iter::once("all checks passed".into()).chain(remarks).collect())
    }

    /// What is wrong with the restored database although the strategy reported success; empty when nothing is. An
    /// application that does not respond is not enough as proof: the machine may be out of memory.
    fn wrong(&self) -> String {
        if self.verified.is_some_and(restored_nothing) {
            return format!("the strategy reported success, but {NOTHING_RESTORED}");
        }
        let failed = self.verified.map(failed_checks).unwrap_or_default();
        match self.served {
            Some(Err(error)) if !failed.is_empty() => {
                format!("the restored application does not respond: {}; {failed}", in_brief(error))
            }
            _ if !failed.is_empty() => failed,
            _ => {
                let mut live = self.live().map(|(name, report)| (name, failed_checks(report)));
                let wrong = live.find(|(_, failed)| !failed.is_empty());
                wrong.map(|(name, failed)| format!("{name}{failed}")).unwrap_or_default()
            }
        }
    }

    fn live(&self) -> impl Iterator<Item = (&str, &verify::Report)> {
        self.live.iter().filter_map(|(name, report)| Some((name.as_str(), report.ok()?)))
    }

    fn proved_nothing(&self) -> Option<String> {
        if let Some(obstacle) = self.obstacle {
            return Some(in_brief(obstacle));
        }
        if let Some(phase) = self.died {
            return Some(format!("the application exited unexpectedly in the phase {}", in_brief(phase)));
        }
        if !self.acknowledged {
            return Some("no write was acknowledged".into());
        }
        if let Some(missed) = self.missed {
            return Some(missed.to_owned());
        }
        if self.offered.late_share > LATE_SHARE_MAX {
            return Some(format!(
                "the declared load was not offered: the harness itself sent {:.1} % of the writes late (limit: {} %)",
                self.offered.late_share * 100.0,
                LATE_SHARE_MAX * 100.0
            ));
        }
        if self.offered.refused_share > self.errors_allowed {
            return Some(format!(
                "{:.1} % of the writes were refused (workload.errors_allowed is {} %)",
                self.offered.refused_share * 100.0,
                self.errors_allowed * 100.0
            ));
        }
        None
    }
}

/// The checks of a database. All of them must be completed.
fn checks(report: &verify::Report) -> [(&'static str, Option<Check>); 5] {
    let verification = &report.verification;
    [
        ("integrity", verification.integrity),
        ("prefix", verification.prefix),
        ("order", verification.order),
        ("transactions", verification.transactions),
        ("content", verification.content),
    ]
}

/// Which checks failed and the first findings; empty when none did.
fn failed_checks(report: &verify::Report) -> String {
    let configuration = [("configuration", report.verification.configuration)];
    let all = checks(report).into_iter().chain(configuration);
    let failed = all.filter(|(_, check)| *check == Some(Check::Fail));
    let names: Vec<&str> = failed.map(|(name, _)| name).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "the strategy reported success, but these checks failed: {}; {}",
        names.join(", "),
        first_findings(report, "")
    )
}

/// True when the restore left no database at all: there is nothing to say about the other checks.
fn restored_nothing(report: &verify::Report) -> bool {
    report.verification.findings.first().is_some_and(|finding| finding.ends_with(NOTHING_RESTORED))
}

fn unmade_check(report: &verify::Report) -> Option<String> {
    let unmade = checks(report).into_iter().find(|(_, check)| check.is_none());
    unmade.map(|(name, _)| first_findings(report, &format!("the check '{name}' could not be completed")))
}

fn first_findings(report: &verify::Report, otherwise: &str) -> String {
    let findings = &report.verification.findings;
    if findings.is_empty() {
        return otherwise.to_owned();
    }
    let first: Vec<String> = findings.iter().take(2).map(|finding| in_brief(finding)).collect();
    first.join("; ")
}

#[cfg(test)]
mod tests {
    use reports::record::Verification;

    use super::*;

    fn right() -> verify::Report {
        let pass = Some(Check::Pass);
        verify::Report {
            verification: Verification {
                level: None,
                integrity: pass,
                prefix: pass,
                order: pass,
                transactions: pass,
                content: pass,
                loss: pass,
                configuration: None,
                findings: Vec::new(),
                remarks: Vec::new(),
                seconds: 1.0,
            },
            recovery_point: None,
            probed: Some(true),
        }
    }

    /// A trial in which writes were acknowledged, and nothing is known yet.
    fn bare<'a>() -> Evidence<'a> {
        Evidence {
            acknowledged: true,
            died: None,
            obstacle: None,
            missed: None,
            offered: Offered { writes_per_second: None, late_share: 0.0, refused_share: 0.0 },
            errors_allowed: 0.1,
            backup: None,
            restore: None,
            served: None,
            verified: None,
            live: Vec::new(),
            verifier_error: None,
        }
    }

    fn verdict(change: impl FnOnce(&mut verify::Report, &mut Evidence<'_>)) -> Verdict {
        let mut report = right();
        let offered = Offered { writes_per_second: Some(50.0), late_share: 0.0, refused_share: 0.0 };
        let served = Ok(1.0);
        let mut evidence = Evidence { offered, served: Some(&served), ..bare() };
        change(&mut report, &mut evidence);
        let evidence =
            Evidence { verified: evidence.verifier_error.is_none().then_some(&report), ..evidence };
        evidence.verdict().0
    }

    #[test]
    fn only_a_trial_in_which_everything_was_checked_is_restorable() {
        assert_eq!(verdict(|_, _| {}), Verdict::Restorable);
        assert_eq!(verdict(|report, _| report.verification.order = None), Verdict::Unverified);
        assert_eq!(verdict(|_, evidence| evidence.verifier_error = Some("crashed")), Verdict::Unverified);
        assert_eq!(verdict(|_, evidence| evidence.acknowledged = false), Verdict::Unverified);
        assert_eq!(verdict(|_, evidence| evidence.died = Some("tail")), Verdict::Unverified);
        assert_eq!(verdict(|_, evidence| evidence.offered.late_share = 0.5), Verdict::Unverified);
        assert_eq!(verdict(|_, evidence| evidence.offered.refused_share = 0.5), Verdict::Unverified);
    }

    #[test]
    fn a_wrong_database_is_corrupt_whatever_else_happened() {
        let fail = Some(Check::Fail);
        assert_eq!(verdict(|report, _| report.verification.transactions = fail), Verdict::Corrupt);
        assert_eq!(
            verdict(|report, evidence| {
                report.verification.content = fail;
                report.verification.loss = fail;
                evidence.offered.refused_share = 0.5;
            }),
            Verdict::Corrupt
        );
        let silent = Err("no answer".to_owned());
        let verdict_of = |content, served| {
            let mut report = right();
            report.verification.content = content;
            Evidence { served: Some(served), verified: Some(&report), ..bare() }.verdict().0
        };
        assert_eq!(verdict_of(fail, &silent), Verdict::Corrupt);
        assert_eq!(verdict_of(Some(Check::Pass), &silent), Verdict::Unverified);
    }

    #[test]
    fn a_right_database_beside_wrong_configuration_files_is_corrupt() {
        let pass = Some(Check::Pass);
        assert_eq!(verdict(|report, _| report.verification.configuration = pass), Verdict::Restorable);
        let fail = Some(Check::Fail);
        assert_eq!(verdict(|report, _| report.verification.configuration = fail), Verdict::Corrupt);
    }

    #[test]
    fn a_database_restored_while_the_application_ran_counts_as_much_as_the_last_one() {
        let verdict_with = |live: Result<&verify::Report, &str>| {
            let report = right();
            let served = Ok(1.0);
            let live = vec![("restore 1 of 2: ".into(), live)];
            let evidence = Evidence { served: Some(&served), verified: Some(&report), live, ..bare() };
            let (verdict, reason) = evidence.verdict();
            format!("{verdict}: {reason}")
        };
        let verdict_of = |change: fn(&mut verify::Report)| {
            let mut live = right();
            change(&mut live);
            verdict_with(Ok(&live))
        };
        assert_eq!(verdict_of(|_| {}), "restorable: all checks passed");
        let remarked =
            verdict_of(|live| live.verification.remarks.push("page_size was 1024 and is 4096".into()));
        assert_eq!(remarked, "restorable: all checks passed; remark: page_size was 1024 and is 4096");
        let crashed = verdict_with(Err("the verifier crashed"));
        assert_eq!(
            crashed,
            "unverified: restore 1 of 2: the restored database was not verified: the verifier crashed"
        );
        let lossy = verdict_of(|live| live.verification.loss = Some(Check::Fail));
        assert_eq!(lossy, "lossy: restore 1 of 2: a promised write is missing");
        let unmade = verdict_of(|live| live.verification.content = None);
        assert_eq!(unmade, "unverified: restore 1 of 2: the check 'content' could not be completed");
        let corrupt = verdict_of(|live| live.verification.order = Some(Check::Fail));
        assert!(
            corrupt.starts_with(
                "corrupt: restore 1 of 2: the strategy reported success, but these checks failed: order"
            ),
            "{corrupt}"
        );
    }

    /// The rows of the table in `blame.rs` that lead to a verdict.
    #[test]
    fn what_the_machine_refuses_proves_nothing_and_takes_nothing_back() {
        let machine = "in the phase 'settle': no space left";
        assert_eq!(verdict(|_, evidence| evidence.obstacle = Some(machine)), Verdict::Unverified);
        let verdict_of = |prefix, backup: Option<&FailureCause>| {
            let mut report = right();
            report.verification.prefix = Some(prefix);
            Evidence { obstacle: Some(machine), verified: Some(&report), backup, ..bare() }.verdict()
        };
        assert_eq!(verdict_of(Check::Pass, None), (Verdict::Unverified, machine.to_owned()));
        assert_eq!(verdict_of(Check::Fail, None).0, Verdict::Corrupt);
        let failed = FailureCause::Failed("database is locked".into());
        assert_eq!(verdict_of(Check::Pass, Some(&failed)).0, Verdict::Failed);
    }

    #[test]
    fn a_missing_promised_write_is_lossy() {
        assert_eq!(verdict(|report, _| report.verification.loss = Some(Check::Fail)), Verdict::Lossy);
        // A negative control promises nothing, so that no loss is checked.
        assert_eq!(verdict(|report, _| report.verification.loss = None), Verdict::Restorable);
    }

    #[test]
    fn a_backup_that_ended_early_says_how() {
        let stalled = FailureCause::Stalled("no progress for 5.0 s (trial.stall_seconds_min = 5)".into());
        let failed = FailureCause::Failed("database is locked".into());
        assert_eq!(verdict(|_, evidence| evidence.backup = Some(&FailureCause::TimedOut)), Verdict::TimedOut);
        let ended = |cause| {
            let evidence = Evidence { backup: Some(cause), ..bare() };
            let (verdict, reason) = evidence.verdict();
            format!("{verdict}: {reason}")
        };
        insta::assert_snapshot!(ended(&stalled), @"stalled: backup: no progress for 5.0 s (trial.stall_seconds_min = 5)");
        insta::assert_snapshot!(ended(&failed), @"failed: backup: database is locked");
    }
}
