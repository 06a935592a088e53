//! A fault: what went wrong on purpose, and what came of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Trial, Verdict};

/// A fault that was injected besides the disaster, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Name of the fault in the registry.
    pub name: String,
    /// Settings of the fault, defaults included.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The name, with the settings that the scenario gives: identifies the fault in ids and reports.
    pub label: String,
    /// When it struck, in seconds since provisioning began; null when it did not strike.
    pub struck_at_seconds: Option<f64>,
    /// Evidence that it struck: what was observed; null when it did not strike.
    pub proof: Option<String>,
    /// Time from the strike until the strategy reported its failure, in seconds; null when it reported none.
    pub reported_seconds: Option<f64>,
    /// The backup that was made before the fault: whether it could still be restored. Null where there was none.
    pub previous_backup: Option<Aftermath>,
    /// The live database: whether the application worked on, and whether its database was right at the disaster. Null
    /// where the fault could not affect it.
    pub source: Option<Aftermath>,
    /// The next backup, made after the fault was over: whether it could be restored. Null where none was made.
    pub next_backup: Option<Aftermath>,
    /// What a backup that failed left behind: files of an incomplete artifact, running processes.
    pub leftovers: Vec<String>,
}

/// Whether something came through a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Aftermath {
    /// True when it is as it should be.
    pub ok: bool,
    /// The reason.
    pub reason: String,
}

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

impl Fault {
    /// What did not come through the fault, although the strategy is not to blame for the fault itself: name and
    /// reason.
    pub fn harm(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [
            ("previous backup", &self.previous_backup),
            ("source", &self.source),
            ("next backup", &self.next_backup),
        ];
        let harmed = parts.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)));
        harmed.filter(|(_, part)| !part.ok).map(|(name, part)| (name, part.reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

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

    #[test]
    fn harm_is_what_did_not_come_through() {
        let aftermath = |ok| Some(Aftermath { ok, reason: "because".into() });
        let fault =
            Fault { previous_backup: aftermath(true), next_backup: aftermath(false), ..Fault::default() };
        assert_eq!(fault.harm().collect::<Vec<_>>(), [("next backup", "because")]);
    }
}
