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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Fault;

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
        assert_eq!(Reaction::of(&faulted(Verdict::Corrupt, None)), None, "the fault did not strike");
        assert_eq!(Reaction::of(&example::trial("any", Verdict::Corrupt)), None, "there is no fault");
    }
}
