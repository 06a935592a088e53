//! A fault: what went wrong on purpose, and what came of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What a backup that failed left behind: running processes, and files of an incomplete artifact.
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

    #[test]
    fn harm_is_what_did_not_come_through() {
        let aftermath = |ok| Some(Aftermath { ok, reason: "because".into() });
        let fault =
            Fault { previous_backup: aftermath(true), next_backup: aftermath(false), ..Fault::default() };
        assert_eq!(fault.harm().collect::<Vec<_>>(), [("next backup", "because")]);
    }
}
