//! The part of a trial's section on its fault.

use crate::printable;
use crate::reaction::Reaction;
use crate::record::{Aftermath, Fault, Trial};
use crate::render::number;

/// What the fault of a trial did, and what came through it, as name and text.
pub(super) fn of_trial(trial: &Trial, fault: &Fault) -> Vec<(&'static str, String)> {
    let part = |part: &Option<Aftermath>| {
        part.as_ref()
            .map(|part| if part.ok { "right".to_owned() } else { format!("harmed: {}", part.reason) })
    };
    let seconds =
        |seconds: Option<f64>| seconds.map(|seconds| number::or_missing(Some(seconds), number::seconds));
    let parts = [
        ("Fault", Some(fault.label.clone())),
        ("Struck at", seconds(fault.struck_at_seconds)),
        ("Proof", fault.proof.clone()),
        ("Reaction", Reaction::of(trial).map(|reaction| reaction.name().to_owned())),
        ("Reported after", seconds(fault.reported_seconds)),
        ("Previous backup", part(&fault.previous_backup)),
        ("Source", part(&fault.source)),
        ("Next backup", part(&fault.next_backup)),
        ("Left behind", Some(fault.leftovers.join("; ")).filter(|left| !left.is_empty())),
    ];
    parts.into_iter().filter_map(|(name, text)| Some((name, printable(&text?)))).collect()
}
