//! The names of systems and strategies in plots, and which of them are drawn together.

use crate::compare::Group;
use crate::record::Trial;
use crate::render::conditions::{self, Conditions};

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

/// The system, with size and rate where all its strategies share them.
pub(super) fn place(system: &[Group<'_>]) -> String {
    let first = system[0].first;
    let shared = |text: fn(&Trial) -> String| {
        let text_of_first = text(first);
        system.iter().all(|group| text(group.first) == text_of_first).then_some(text_of_first)
    };
    let subject = Some(capitalised(&conditions::subject(first)));
    [subject, shared(conditions::size), shared(writes)].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The text with a capital first letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// The declared rate: `50 writes/s`.
pub(super) fn writes(trial: &Trial) -> String {
    conditions::rate(trial).replace(" /s", " writes/s")
}

/// The name of the strategy, and how it differs from others with the same name in the panel.
pub(super) fn name(group: &Group<'_>, system: &[Group<'_>]) -> (String, String) {
    let trial = group.first;
    let others = || system.iter().map(|other| other.first);
    let twins: Vec<&Trial> =
        others().filter(|other| other.strategy == trial.strategy && other.variant == trial.variant).collect();
    // The difference comes first, because the end of a long detail is cut off.
    let difference = Conditions::of(&twins).difference(trial);
    let mut details = vec![difference.trim_start_matches(", ").to_string()];
    if !trial.variant.is_empty() {
        details.push(conditions::variant(trial));
    }
    if difference.is_empty() && others().any(|other| conditions::size(other) != conditions::size(trial)) {
        details.push(format!("at {}", conditions::size(trial)));
    }
    if trial.control {
        details.push("negative control".to_string());
    }
    details.retain(|detail| !detail.is_empty());
    (trial.strategy.clone(), details.join(", "))
}
