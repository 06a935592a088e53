//! What the field claims about backups, and what recorded trials say about it.
//!
//! A claim is data: a statement, its source, which trials test it, and a function that judges them. A claim that no trial
//! tests is never confirmed: its finding is "not tested", and no judge is asked.

mod copies;
mod field;
mod page;
mod stepping;

pub use field::CLAIMS;
pub use page::markdown;

use crate::record::{Results, Run, Trial, Verdict};
use crate::render::number;

/// From this size on, in bytes, a trial speaks for the 17 GB database that the field reports about.
const DEMO_BYTES: u64 = 16_000_000_000;

/// One statement of the field.
pub struct Claim {
    /// A short name for headings and links.
    pub name: &'static str,
    /// What is claimed, in our words.
    pub statement: &'static str,
    /// Who claims it.
    pub source: &'static str,
    /// Where they do; empty where no public page is known.
    pub link: &'static str,
    /// Which trials test it, and when they confirm it.
    pub criterion: &'static str,
    /// The command that runs such trials.
    pub command: &'static str,
    /// Whether a trial tests it. Trials that proved nothing or could not run are left out before.
    concerns: fn(&Trial) -> bool,
    /// What these trials say; never asked about none.
    judge: fn(&[&Trial]) -> Finding,
}

/// What trials say about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The answer.
    pub answer: Answer,
    /// The numbers that it rests on, and the conditions, as one line of text.
    pub measured: String,
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The trials show what is claimed.
    Confirmed,
    /// They show it under some conditions, which the text names.
    ConfirmedUnderConditions,
    /// They show the opposite.
    Refuted,
    /// No trial says anything about it.
    NotTested,
}

impl Answer {
    /// As people read it.
    pub fn text(self) -> &'static str {
        match self {
            Answer::Confirmed => "confirmed",
            Answer::ConfirmedUnderConditions => "confirmed under these conditions",
            Answer::Refuted => "refuted",
            Answer::NotTested => "not tested",
        }
    }

    /// Confirmed where everything agrees, refuted where nothing does, under conditions in between.
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

/// A claim with what a set of runs says about it.
pub struct Assessed<'a> {
    /// The claim.
    pub claim: &'static Claim,
    /// What it came to.
    pub finding: Finding,
    /// The trials that were judged, with the run of each.
    pub trials: Vec<(&'a Run, &'a Trial)>,
}

/// What these runs say about every claim, in the order of [`CLAIMS`].
pub fn assess(runs: &[Results]) -> Vec<Assessed<'_>> {
    CLAIMS.iter().map(|claim| assess_one(claim, runs)).collect()
}

fn assess_one<'a>(claim: &'static Claim, runs: &'a [Results]) -> Assessed<'a> {
    let all = runs.iter().flat_map(|results| results.trials.iter().map(|trial| (&results.run, trial)));
    let trials: Vec<(&Run, &Trial)> =
        all.filter(|(_, trial)| is_evidence(trial) && (claim.concerns)(trial)).collect();
    let judged: Vec<&Trial> = trials.iter().map(|(_, trial)| *trial).collect();
    let finding = if judged.is_empty() {
        Finding::not_tested("No record has a trial that tests this.")
    } else {
        (claim.judge)(&judged)
    };
    Assessed { claim, finding, trials }
}

/// The size that was asked for, in the units in which it was.
fn target_size(trial: &Trial) -> String {
    number::chosen_bytes(trial.dataset.target_bytes as f64)
}

/// False for trials that proved nothing or could not run.
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
    fn every_claim_has_a_name_of_its_own_a_source_and_a_command() {
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
