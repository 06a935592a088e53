//! Judges the claims by the trials of runs.

use super::claim::Claim;
use super::field::CLAIMS;
use super::finding::Finding;
use crate::record::{Results, Run, Trial, Verdict};

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
    let finding =
        if judged.is_empty() { Finding::not_tested(claim.untested) } else { (claim.judge)(&judged) };
    Assessed { claim, finding, trials }
}

/// False for trials that were inconclusive or could not run, and for those of bad days: what a fault makes of a strategy
/// neither confirms nor refutes what is claimed of it.
fn is_evidence(trial: &Trial) -> bool {
    trial.fault.is_none() && !matches!(trial.verdict, Verdict::Unavailable | Verdict::Unverified)
}

#[cfg(test)]
mod tests {
    use super::assess;
    use crate::claims::finding::Answer;
    use crate::example;
    use crate::record::{Fault, Verdict};

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
    fn a_trial_with_a_fault_neither_confirms_nor_refutes() {
        let mut killed = example::trial("cold-copy", Verdict::Failed);
        killed.fault = Some(Fault { label: "kill-strategy".into(), ..Fault::default() });
        for assessed in assess(&[example::results(vec![killed])]) {
            assert!(assessed.trials.is_empty(), "{}", assessed.claim.name);
        }
    }
}
