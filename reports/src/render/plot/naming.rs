//! What plots call systems and strategies, and which of them are drawn together.

use crate::compare::Group;
use crate::record::Trial;
use crate::render::conditions;

/// The groups of each system under test and dataset profile, in the order in which they first ran.
pub(super) fn systems<'a>(groups: &[Group<'a>]) -> Vec<Vec<Group<'a>>> {
    let key = |group: &Group<'_>| (conditions::subject(group.first), group.first.dataset.profile.clone());
    let mut systems: Vec<Vec<Group<'a>>> = Vec::new();
    for group in groups {
        match systems.iter_mut().find(|system| key(&system[0]) == key(group)) {
            Some(system) => system.push(group.clone()),
            None => systems.push(vec![group.clone()]),
        }
    }
    systems
}

/// System, size and rate, as far as all of its strategies share them.
pub(super) fn place(system: &[Group<'_>]) -> String {
    let first = system[0].first;
    let shared = |text: fn(&Trial) -> String| {
        let text_of_first = text(first);
        system.iter().all(|group| text(group.first) == text_of_first).then_some(text_of_first)
    };
    let subject = Some(capitalised(&conditions::subject(first)));
    [subject, shared(conditions::size), shared(writes)].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// The declared rate: `50 writes/s`.
pub(super) fn writes(trial: &Trial) -> String {
    conditions::rate(trial).replace(" /s", " writes/s")
}

/// The strategy, and what tells it from the others of its name in the same panel.
pub(super) fn name(group: &Group<'_>, system: &[Group<'_>]) -> (String, String) {
    let trial = group.first;
    let mut details: Vec<String> = Vec::new();
    if !trial.variant.is_empty() {
        details.push(conditions::variant(trial));
    }
    let twins: Vec<&Trial> = system
        .iter()
        .map(|other| other.first)
        .filter(|other| other.strategy == trial.strategy && other.variant == trial.variant)
        .collect();
    let difference = conditions::Conditions::of(&twins).difference(trial);
    details.extend(difference.strip_prefix(", ").map(str::to_owned));
    let of_system: Vec<&Trial> = system.iter().map(|other| other.first).collect();
    let differs = |text: fn(&Trial) -> String| of_system.iter().any(|other| text(other) != text(trial));
    if differs(conditions::size) && difference.is_empty() {
        details.push(format!("at {}", conditions::size(trial)));
    }
    if trial.control {
        details.push("negative control".to_string());
    }
    details.retain(|detail| !detail.is_empty());
    (trial.strategy.clone(), details.join(", "))
}
