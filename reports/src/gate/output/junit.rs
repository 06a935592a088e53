//! JUnit XML: each trial, each threshold and each comparison is a test case.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::findings::Findings;
use crate::compare::Outcome;
use crate::gate::{Answer, Comparison, thresholds};
use crate::record::Results;

/// The report for CI services. Inconclusive and unavailable results are marked as skipped, with the reason.
pub fn junit(findings: &Findings<'_>) -> String {
    let mut report = Report::new("backup-drill");
    report.add_test_suite(trials(findings.results));
    let limits = limits(findings.results);
    if !limits.test_cases.is_empty() {
        report.add_test_suite(limits);
    }
    report.add_test_suites(findings.comparisons.iter().map(compared));
    report.to_string().expect("text is written to memory")
}

fn failure(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

fn trials(results: &Results) -> TestSuite {
    let mut suite = TestSuite::new("trials");
    for trial in &results.trials {
        let told = format!("{}: {}", trial.verdict, trial.reason);
        let status = match Outcome::of_trial(trial) {
            Outcome::AsPromised => TestCaseStatus::success(),
            Outcome::FellShort => failure(&told),
            Outcome::Unverified | Outcome::Unavailable => skipped(&told),
        };
        let mut case = TestCase::new(&trial.id, status);
        case.set_classname(&trial.strategy);
        suite.add_test_case(case);
    }
    suite
}

fn limits(results: &Results) -> TestSuite {
    let mut suite = TestSuite::new("thresholds");
    for finding in thresholds::judge(results) {
        let status = match finding.holds {
            Some(true) => TestCaseStatus::success(),
            Some(false) => failure(&finding.sentence()),
            None => skipped(&finding.sentence()),
        };
        let mut case = TestCase::new(finding.threshold, status);
        case.set_classname(finding.trial);
        suite.add_test_case(case);
    }
    suite
}

fn compared(comparison: &Comparison) -> TestSuite {
    let mut suite = TestSuite::new(format!("compared with {}", comparison.baseline));
    for row in &comparison.rows {
        let status = match row.answer {
            Answer::Equivalent | Answer::Improved => TestCaseStatus::success(),
            Answer::Regressed => failure(&row.because),
            Answer::Inconclusive => skipped(&row.because),
        };
        let mut case = TestCase::new(row.metric, status);
        case.set_classname(&row.subject);
        suite.add_test_case(case);
    }
    suite
}
