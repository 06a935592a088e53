//! Claims about backups, and whether recorded trials confirm them.
//!
//! A claim is data: a statement, its source, which trials test it, and a function that judges these trials. A claim
//! that no trial tests is never confirmed: its finding is "not tested", and the function is not called.

mod copies;
mod field;
mod page;
mod stepping;

pub use field::CLAIMS;
pub use page::markdown;

use crate::record::{Results, Run, Trial, Verdict};
use crate::render::number;

/// From this size in bytes on, a trial is evidence for the claims about the 17 GB demo database.
const DEMO_BYTES: u64 = 16_000_000_000;

/// One claim.
pub struct Claim {
    /// A short name for headings and links.
    pub name: &'static str,
    /// The claim, in our own words.
    pub statement: &'static str,
    /// Who claims it.
    pub source: &'static str,
    /// The address of the source; empty where no public page is known.
    pub link: &'static str,
    /// Which trials test the claim, and when they confirm it.
    pub criterion: &'static str,
    /// The command that runs such trials.
    pub command: &'static str,
    /// Whether a trial tests the claim. It is called only for trials that ran and were conclusive.
    concerns: fn(&Trial) -> bool,
    /// Judges these trials; never called without a trial.
    judge: fn(&[&Trial]) -> Finding,
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The answer.
    pub answer: Answer,
    /// The numbers that the answer is based on, and the conditions, as one line of text.
    pub measured: String,
}

/// Whether trials confirm a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The trials confirm the claim.
    Confirmed,
    /// The trials confirm the claim under some conditions, which the text names.
    ConfirmedUnderConditions,
    /// The trials show the opposite.
    Refuted,
    /// No trial tests the claim.
    NotTested,
}

impl Answer {
    /// The text for people.
    pub fn text(self) -> &'static str {
        match self {
            Answer::Confirmed => "confirmed",
            Answer::ConfirmedUnderConditions => "confirmed under these conditions",
            Answer::Refuted => "refuted",
            Answer::NotTested => "not tested",
        }
    }

    /// Confirmed where all trials agree, refuted where none does, confirmed under conditions in between.
    fn of(agree: usize, all: usize) -> Answer {
        match agree {
            _ if all == 0 => Answer::NotTested,
            0 => Answer::Refuted,
            some if some == all => Answer::Confirmed,
            _ => Answer::ConfirmedUnderConditions,
        }
    }
}

impl Finding {
    fn new(answer: Answer, measured: impl Into<String>) -> Finding {
        Finding { answer, measured: measured.into() }
    }

    fn not_tested(why: impl Into<String>) -> Finding {
        Finding::new(Answer::NotTested, why)
    }
}

/// A claim with its result for a set of runs.
pub struct Assessed<'a> {
    /// The claim.
    pub claim: &'static Claim,
    /// Its result.
    pub finding: Finding,
    /// The trials that were judged, each with its run.
    pub trials: Vec<(&'a Run, &'a Trial)>,
}

/// Judges every claim by these runs, in the order of [`CLAIMS`].
pub fn assess(runs: &[Results]) -> Vec<Assessed<'_>> {
    CLAIMS.iter().map(|claim| assess_one(claim, runs)).collect()
}

fn assess_one<'a>(claim: &'static Claim, runs: &'a [Results]) -> Assessed<'a> {
    let all = runs.iter().flat_map(|results| results.trials.iter().map(|trial| (&results.run, trial)));
    let trials: Vec<(&Run, &Trial)> =
        all.filter(|(_, trial)| is_evidence(trial) && (claim.concerns)(trial)).collect();
    let judged: Vec<&Trial> = trials.iter().map(|(_, trial)| *trial).collect();
    let finding = if judged.is_empty() {
        Finding::not_tested("No recorded trial tests this.")
    } else {
        (claim.judge)(&judged)
    };
    Assessed { claim, finding, trials }
}

/// The requested size of the dataset, in the unit in which it was requested.
fn target_size(trial: &Trial) -> String {
    number::chosen_bytes(trial.dataset.target_bytes as f64)
}

/// False for trials that were inconclusive or could not run.
fn is_evidence(trial: &Trial) -> bool {
    !matches!(trial.verdict, Verdict::Unavailable | Verdict::Unverified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn without_records_nothing_is_confirmed() {
        for runs in [vec![], vec![example::results(vec![])]] {
            for assessed in assess(&runs) {
                assert_eq!(assessed.finding.answer, Answer::NotTested, "{}", assessed.claim.name);
                assert!(assessed.trials.is_empty());
            }
        }
    }

    #[test]
    fn trials_that_proved_nothing_or_could_not_run_confirm_nothing() {
        let mut trials = Vec::new();
        for strategy in ["cold-copy", "hot-copy", "selective", "sqlite-cli-backup", "mysql-dump"] {
            for verdict in [Verdict::Unverified, Verdict::Unavailable] {
                trials.push(example::trial(strategy, verdict));
            }
        }
        for assessed in assess(&[example::results(trials)]) {
            assert_eq!(assessed.finding.answer, Answer::NotTested, "{}", assessed.claim.name);
        }
    }

    #[test]
    fn every_claim_has_a_unique_name_a_source_and_a_command() {
        for (at, claim) in CLAIMS.iter().enumerate() {
            assert!(CLAIMS[..at].iter().all(|other| other.name != claim.name), "{}", claim.name);
            assert!(claim.command.starts_with("cargo xtask run "), "{}", claim.name);
            assert!(claim.link.is_empty() || claim.link.starts_with("https://"), "{}", claim.name);
            for text in [claim.statement, claim.source, claim.criterion] {
                assert!(!text.is_empty(), "{}", claim.name);
            }
        }
    }

    #[test]
    fn answers_follow_from_how_many_agree() {
        let answers = [(0, 0), (0, 3), (1, 3), (3, 3)].map(|(agree, all)| Answer::of(agree, all).text());
        assert_eq!(answers, ["not tested", "refuted", "confirmed under these conditions", "confirmed"]);
    }
}
