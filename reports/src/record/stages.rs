//! What happened to an artifact between backup and disaster, and on its way back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stages that an artifact passed through to a destination, and back after the disaster. The artifact itself was
/// lost with the machine: the restore used only what was at the destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offsite {
    /// The names of the stages, with the settings that the scenario gives: identifies them in ids and reports.
    pub label: String,
    /// Settings of each stage, defaults included. Passwords and keys are never settings.
    pub settings: Vec<StageSettings>,
    /// Size of the object at the destination, in bytes; null when none was published.
    pub object_bytes: Option<u64>,
    /// The stages in the order in which they ran: first to the destination, then back.
    pub stages: Vec<Stage>,
}

/// The settings of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageSettings {
    /// Name of the transform or destination in the registry.
    pub stage: String,
    /// Its settings.
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// One stage that ran, in a process of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// `pack`, the name of a transform, or the name of a destination.
    pub name: String,
    /// True on the way back, after the disaster.
    pub is_back: bool,
    /// Its time in seconds.
    pub seconds: f64,
    /// Size of what it was given, in bytes.
    pub bytes_in: u64,
    /// Size of what it made, in bytes.
    pub bytes_out: u64,
    /// User and system CPU time in seconds, including the commands that it started.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of its largest process, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// Requests to the server of the destination; null where they cannot be counted.
    pub requests: Option<u64>,
}

impl Offsite {
    /// Time in seconds of all stages of one direction; `None` when none ran.
    pub fn seconds(&self, is_back: bool) -> Option<f64> {
        let those = || self.stages.iter().filter(|stage| stage.is_back == is_back);
        those().next().map(|_| those().map(|stage| stage.seconds).sum())
    }

    /// Requests of one direction; `None` where they cannot be counted.
    pub fn requests(&self, is_back: bool) -> Option<u64> {
        let those = self.stages.iter().filter(|stage| stage.is_back == is_back);
        those.filter_map(|stage| stage.requests).reduce(|sum, requests| sum + requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_has_its_time_and_requests() {
        let stage = |is_back, seconds, requests| Stage {
            name: "s3".into(),
            is_back,
            seconds,
            bytes_in: 1,
            bytes_out: 1,
            cpu_seconds: None,
            memory_bytes_max: None,
            requests,
        };
        let mut offsite = Offsite::default();
        assert_eq!((offsite.seconds(false), offsite.requests(true)), (None, None));
        offsite.stages = vec![stage(false, 1.5, None), stage(false, 0.5, Some(7)), stage(true, 3.0, None)];
        assert_eq!((offsite.seconds(false), offsite.seconds(true)), (Some(2.0), Some(3.0)));
        assert_eq!((offsite.requests(false), offsite.requests(true)), (Some(7), None));
    }
}
