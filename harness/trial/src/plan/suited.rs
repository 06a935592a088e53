//! The trials with stages or a fault, where that makes sense.

use std::collections::BTreeMap;

use engines::applications::App;
use machine::file_system::FileSystem;
use strategies::contract::Family;

use super::trial_plan::TrialPlan;
use crate::fault::{ConfiguredFault, Moment, Separates};
use crate::stages::{ConfiguredStages, Server};

/// A fault or stages that make no sense for a strategy on a subject, so that no trial with them is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuited {
    /// The strategy with its settings, and the subject.
    pub trials: String,
    /// The fault or the stages.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// The same trial with stages, or why that makes no sense.
pub(super) fn with_stages(
    trial: &TrialPlan,
    stages: Option<&ConfiguredStages>,
) -> Result<TrialPlan, Unsuited> {
    let mut trial = trial.clone();
    let Some(stages) = stages else { return Ok(trial) };
    let card = trial.strategy.card();
    let reason = if trial.strategy.abilities().continuous.is_some() {
        "continuous replication has no complete artifact that could be published before the disaster"
    } else if card.family == Family::Snapshot {
        "a snapshot is a part of its file system, not files that could be packed"
    } else {
        trial.id = with_part(&trial.id, &stages.label);
        trial.stages = Some(stages.clone());
        return Ok(trial);
    };
    Err(unsuited(&trial, &stages.label, reason.into()))
}

/// An id with another part before the repetition.
fn with_part(id: &str, part: &str) -> String {
    let (place, repetition) = id.rsplit_once('/').expect("an id ends with the repetition");
    format!("{place}/{part}/{repetition}")
}

fn unsuited(trial: &TrialPlan, what: &str, reason: String) -> Unsuited {
    let mut parts: Vec<&str> = trial.id.split('/').collect();
    parts.truncate(parts.len().saturating_sub(3));
    Unsuited { trials: parts.join("/"), what: what.to_owned(), reason }
}

/// The same trial with a fault, or why that makes no sense.
pub(super) fn with_fault(trial: &TrialPlan, fault: Option<&ConfiguredFault>) -> Result<TrialPlan, Unsuited> {
    let mut trial = trial.clone();
    let Some(fault) = fault else { return Ok(trial) };
    let of_stages = match (&trial.stages, fault.moment()) {
        (None, Moment::DuringPublication) => {
            Some("it strikes a publication, and the artifact stays on the machine".to_owned())
        }
        (Some(stages), Moment::DuringPublication) => {
            let can_be_cut = stages.target.server.is_some_and(Server::is_remote);
            (!can_be_cut).then(|| "there is no line to a server of the trial that could be cut".to_owned())
        }
        (Some(_), _) => {
            Some("it strikes a backup whose artifact stays on the machine, not its stages".to_owned())
        }
        (None, _) => None,
    };
    let of_tracker = (trial.deployment.app == App::Tracker).then(|| {
        // What a tracker acknowledged says nothing about its database, so that harm to it would not be seen.
        "a trial with a fault needs the embedded application, whose acknowledged writes are in its database"
            .to_owned()
    });
    if let Some(reason) =
        of_stages.or(of_tracker).or_else(|| fault.unsuited(&trial.strategy, &trial.deployment))
    {
        return Err(unsuited(&trial, fault.label(), reason));
    }
    if let (Separates::Everything(kind), FileSystem::Disk) = (fault.separates(), trial.deployment.file_system)
    {
        trial.deployment.file_system = kind;
    }
    trial.id = with_part(&trial.id, fault.label());
    trial.fault = Some(fault.clone());
    // What the scenario expects of a good day does not hold on a bad one.
    trial.expected = Vec::new();
    trial.thresholds = BTreeMap::new();
    Ok(trial)
}
