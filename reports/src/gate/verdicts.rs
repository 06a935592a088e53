//! Compares verdicts without statistics: a database that cannot be restored is never explained by chance.

use super::comparison::Answer;
use super::contest::Contest;
use crate::compare::{Outcome, worst_verdict};
use crate::record::{Trial, Verdict};

/// The answer for the verdicts of a contest, and the reason.
pub(super) fn judge(contest: &Contest<'_>) -> (Answer, String) {
    let Some(baseline) = Side::of(&contest.baseline) else {
        return (
            Answer::Inconclusive,
            "the baseline has no such trial: run it again with this scenario".into(),
        );
    };
    let Some(candidate) = Side::of(&contest.candidate) else {
        return (Answer::Inconclusive, "the candidate has no such trial".into());
    };
    let fell_short = |side: &Side| side.outcome == Outcome::FellShort;
    if fell_short(&candidate) && (!fell_short(&baseline) || candidate.verdict > baseline.verdict) {
        return (Answer::Regressed, candidate.reason);
    }
    if candidate.outcome != Outcome::AsPromised
        && !fell_short(&candidate)
        && candidate.outcome != baseline.outcome
    {
        return (Answer::Inconclusive, candidate.reason);
    }
    if fell_short(&baseline) && !fell_short(&candidate) {
        return (Answer::Improved, "fell short in the baseline, as expected in the candidate".into());
    }
    let because = match candidate.outcome {
        Outcome::AsPromised => "as expected in both",
        Outcome::FellShort => "fell short in both",
        Outcome::Unverified => "inconclusive in both",
        Outcome::Unavailable => "unavailable in both",
    };
    (Answer::Equivalent, because.into())
}

/// The result of one side: the worst of its repetitions.
struct Side {
    outcome: Outcome,
    verdict: Verdict,
    reason: String,
}

impl Side {
    fn of(trials: &[&Trial]) -> Option<Side> {
        let worst = trials.iter().max_by_key(|trial| (Outcome::of_trial(trial), trial.verdict))?;
        Some(Side {
            outcome: Outcome::of_trial(worst),
            verdict: worst.verdict,
            reason: worst.reason.lines().next().unwrap_or_default().into(),
        })
    }
}

/// The worst verdict of some trials, and how many of them have it where not all do.
pub(super) fn shown(trials: &[&Trial]) -> Option<String> {
    let worst = worst_verdict(trials.iter().copied())?;
    let count = trials.iter().filter(|trial| trial.verdict == worst).count();
    Some(if count == trials.len() {
        worst.name().into()
    } else {
        format!("{worst}, {count} of {}", trials.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::*;

    fn answer(baseline: &[Verdict], candidate: &[Verdict], change: fn(&mut Trial)) -> Answer {
        let trials = |verdicts: &[Verdict]| -> Vec<Trial> {
            let trial = |verdict: &Verdict| {
                let mut trial = example::trial("one-step", *verdict);
                change(&mut trial);
                trial
            };
            verdicts.iter().map(trial).collect()
        };
        let (baseline, candidate) = (trials(baseline), trials(candidate));
        let contest = Contest {
            subject: "s".into(),
            baseline: baseline.iter().collect(),
            candidate: candidate.iter().collect(),
        };
        judge(&contest).0
    }

    #[test]
    fn one_worse_verdict_among_many_is_a_regression() {
        let as_it_is = |_: &mut Trial| {};
        assert_eq!(answer(&[Restorable; 6], &[Restorable, Lossy, Restorable], as_it_is), Answer::Regressed);
        assert_eq!(answer(&[Lossy], &[Corrupt], as_it_is), Answer::Regressed);
        assert_eq!(answer(&[Lossy], &[Lossy], as_it_is), Answer::Equivalent);
        assert_eq!(answer(&[Lossy], &[Failed], as_it_is), Answer::Equivalent);
        assert_eq!(answer(&[Lossy], &[Restorable], as_it_is), Answer::Improved);
        assert_eq!(answer(&[Restorable], &[Unverified], as_it_is), Answer::Inconclusive);
        assert_eq!(answer(&[Restorable], &[Unavailable], as_it_is), Answer::Inconclusive);
        assert_eq!(answer(&[Unavailable], &[Unavailable], as_it_is), Answer::Equivalent);
        assert_eq!(answer(&[Restorable], &[], as_it_is), Answer::Inconclusive);
        assert_eq!(answer(&[], &[Restorable], as_it_is), Answer::Inconclusive);
    }

    #[test]
    fn expected_verdicts_and_verdicts_of_controls_are_not_regressions() {
        assert_eq!(
            answer(&[Failed], &[Stalled], |trial| trial.expected = vec![Failed, Stalled]),
            Answer::Equivalent
        );
        assert_eq!(answer(&[Restorable], &[Corrupt], |trial| trial.control = true), Answer::Equivalent);
    }
}
