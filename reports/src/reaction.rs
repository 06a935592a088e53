//! How a strategy reacted to a fault.

use crate::record::{Trial, Verdict};

/// How a strategy reacted to a fault, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// It reported success, and the restored database is right.
    Survived,
    /// It reported a failure.
    Detected,
    /// It neither succeeded nor failed in time.
    Hung,
    /// It reported success, and the result is wrong or missing.
    Silent,
}

impl Reaction {
    /// The reaction in a trial with a fault that struck; `None` when the trial did not show one.
    pub fn of(trial: &Trial) -> Option<Reaction> {
        trial.fault.as_ref()?.proof.as_ref()?;
        match trial.verdict {
            Verdict::Restorable => Some(Reaction::Survived),
            Verdict::Failed if is_missing(trial) => Some(Reaction::Silent),
            Verdict::Failed => Some(Reaction::Detected),
            Verdict::Stalled | Verdict::TimedOut => Some(Reaction::Hung),
            Verdict::Lossy | Verdict::Corrupt => Some(Reaction::Silent),
            Verdict::Unavailable | Verdict::Unverified => None,
        }
    }

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Reaction::Survived => "survived",
            Reaction::Detected => "detected",
            Reaction::Hung => "hung",
            Reaction::Silent => "silent",
        }
    }
}

/// Whether a backup that was struck had reported success, and there was nothing to restore. Damage that was done to it
/// afterwards, and that the restore notices, is detected.
fn is_missing(trial: &Trial) -> bool {
    let disaster = trial.phases.iter().find(|phase| phase.phase == "disaster");
    let struck = trial.fault.as_ref().and_then(|fault| fault.struck_at_seconds);
    let is_complete = trial.backup.as_ref().is_some_and(|backup| backup.seconds.is_some());
    is_complete && struck.zip(disaster).is_some_and(|(struck, disaster)| struck < disaster.at_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::{Fault, PhaseStart};

    fn faulted(verdict: Verdict, proof: Option<&str>) -> Trial {
        let fault = Fault { proof: proof.map(str::to_owned), ..Fault::default() };
        Trial { fault: Some(fault), ..example::trial("any", verdict) }
    }

    #[test]
    fn a_verdict_says_how_a_strategy_reacted_to_a_fault_that_struck() {
        let reaction = |verdict| Reaction::of(&faulted(verdict, Some("2 processes were killed")));
        assert_eq!(reaction(Verdict::Restorable), Some(Reaction::Survived));
        assert_eq!(reaction(Verdict::Failed), Some(Reaction::Detected));
        assert_eq!(reaction(Verdict::Stalled), Some(Reaction::Hung));
        assert_eq!(reaction(Verdict::Lossy), Some(Reaction::Silent));
        assert_eq!(reaction(Verdict::Unverified), None);
        let mut missing = faulted(Verdict::Failed, Some("another backup began"));
        missing.backup.as_mut().unwrap().seconds = Some(1.0);
        missing.phases.push(PhaseStart { phase: "disaster".into(), at_seconds: 9.0 });
        for (at, expected) in [(5.0, Reaction::Silent), (9.5, Reaction::Detected)] {
            missing.fault.as_mut().unwrap().struck_at_seconds = Some(at);
            assert_eq!(Reaction::of(&missing), Some(expected), "struck at {at} s");
        }
        assert_eq!(Reaction::of(&faulted(Verdict::Corrupt, None)), None, "the fault did not strike");
        assert_eq!(Reaction::of(&example::trial("any", Verdict::Corrupt)), None, "there is no fault");
    }
}
