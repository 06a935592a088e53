//! The best strategies of a run by the criteria that operators choose by, as far as the noise allows a conclusion.

use super::text::plain;
use crate::compare::{Group, noise};
use crate::record::{Results, Trial, Verdict};
use crate::render::comparison::{self, measures};
use crate::render::conditions::Conditions;
use crate::render::family::Family;
use crate::render::number;
use crate::render::table::Table;
use crate::render::words::in_a_row;

/// The number of equally good strategies that are shown by name.
const EQUALS_SHOWN: usize = 2;

/// The best strategies in one sentence, where all trials can be compared with each other.
pub(super) fn in_a_sentence(results: &Results) -> Option<String> {
    let places = comparison::blocks(&results.trials);
    let [(_, groups)] = places.as_slice() else {
        return Some(
            "**Best**: it depends on size, rate and subject; the next table has a row for each.".to_owned(),
        );
    };
    let bests: Vec<String> = criteria(results)
        .iter()
        .filter_map(|(label, measure)| Some(format!("by {label}: {}", best(results, groups, measure)?)))
        .collect();
    (!bests.is_empty()).then(|| format!("**Best**{} {}.", left_out(groups), bests.join("; ")))
}

/// A table with a row for each part of the run, where only trials of the same part can be compared.
pub(super) fn by_place(results: &Results) -> Vec<String> {
    let places = comparison::blocks(&results.trials);
    if places.len() < 2 {
        return Vec::new();
    }
    let criteria = criteria(results);
    let header: Vec<String> = criteria.iter().map(|(label, _)| format!("Best by {label}")).collect();
    let header = std::iter::once("Conditions").chain(header.iter().map(String::as_str));
    let row = |(title, groups): &(String, Vec<Group<'_>>)| {
        let cell = |measure| best(results, groups, measure).unwrap_or_else(|| number::MISSING.to_owned());
        std::iter::once(title.clone()).chain(criteria.iter().map(|(_, measure)| cell(measure))).collect()
    };
    vec![Table::of_texts(header, places.iter().map(row).collect()).markdown()]
}

/// The criteria that strategies are chosen by.
fn criteria(results: &Results) -> [(&'static str, &'static measures::Measure); 3] {
    let loss = measures::loss(&results.trials);
    let by_loss = if measures::is_at_completion(loss) {
        "data loss at backup completion (RPO floor)"
    } else {
        "data loss at disaster"
    };
    [("blocked time", &measures::BLOCKED), (by_loss, loss), ("recovery time", &measures::RECOVERY)]
}

/// Only strategies that survive the loss of the disk and were restorable in every trial are compared.
fn is_eligible(group: &Group<'_>) -> bool {
    group.verdict() == Verdict::Restorable && !matches!(Family::of(group), Family::Control | Family::SameDisk)
}

fn left_out(groups: &[Group<'_>]) -> &'static str {
    let has_same_disk = groups.iter().any(|group| Family::of(group) == Family::SameDisk);
    if has_same_disk { " (without snapshots on the same disk)" } else { "" }
}

/// The best strategy with its value, and those that are equally good within the noise.
fn best(results: &Results, groups: &[Group<'_>], measure: &measures::Measure) -> Option<String> {
    let trials: Vec<&Trial> = groups.iter().flat_map(|group| group.trials.iter().copied()).collect();
    let conditions = Conditions::of(&trials);
    let mut ranked: Vec<(f64, &Group<'_>)> = groups
        .iter()
        .filter(|group| is_eligible(group))
        .filter_map(|group| Some((measure.spread(group)?.median, group)))
        .collect();
    ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (value, first) = *ranked.first()?;
    let as_good = value * noise(results).unwrap_or(1.0);
    let equals: Vec<String> = ranked[1..]
        .iter()
        .take_while(|(other, _)| *other <= as_good)
        .map(|(_, group)| plain(&conditions.row_name(group.first)))
        .collect();
    let name = plain(&conditions.row_name(first.first));
    let value = (measure.format)(value);
    Some(if equals.is_empty() {
        format!("{name} ({value})")
    } else {
        format!("{name} ({value}; equal within noise: {})", shortened(equals))
    })
}

/// A few names, and the number of further ones.
fn shortened(mut names: Vec<String>) -> String {
    if names.len() > EQUALS_SHOWN + 1 {
        let more = names.len() - EQUALS_SHOWN;
        names.truncate(EQUALS_SHOWN);
        names.push(format!("{more} more"));
    }
    in_a_row(&names)
}

#[cfg(test)]
mod tests {
    use super::{by_place, in_a_sentence};
    use crate::example;
    use crate::record::Trial;
    use crate::record::Verdict::*;

    fn recovering(strategy: &str, seconds: f64) -> Trial {
        let mut trial = example::trial(strategy, Restorable);
        trial.restore.as_mut().unwrap().recovery_seconds = Some(seconds);
        trial
    }

    #[test]
    fn strategies_that_are_equal_within_noise_are_named_together() {
        // The copies of the example took 0.9 to 1.2 s.
        let mut snapshot = recovering("snapshot", 0.1);
        snapshot.survives_disk_loss = Some(false);
        let mut corrupt = recovering("corrupt", 0.2);
        corrupt.verdict = Corrupt;
        let trials = vec![
            recovering("slow", 1.4),
            recovering("fast", 1.0),
            recovering("near", 1.3),
            snapshot,
            corrupt,
        ];
        let text = in_a_sentence(&example::results(trials)).unwrap();
        assert!(
            text.starts_with("**Best** (without snapshots on the same disk) by blocked time: slow (0 s; equal within noise: fast"),
            "{text}"
        );
        assert!(text.ends_with("by recovery time: fast (1.00 s; equal within noise: near)."), "{text}");
    }

    #[test]
    fn parts_that_cannot_be_compared_have_a_row_each() {
        let mut trials = Vec::new();
        for number in 0..13 {
            let mut trial = recovering(&format!("s{number:02}"), f64::from(number) + 1.0);
            trial.workload.writes_per_second = Some(f64::from(number % 2 + 1));
            trials.push(trial);
        }
        let results = example::results(trials);
        let table = by_place(&results).remove(0);
        assert!(
            table.contains("| 300 MiB, 2 /s, embedded on sqlite (wal) |")
                && table.contains("| s01 (2.00 s) |"),
            "{table}"
        );
        assert!(in_a_sentence(&results).unwrap().contains("the next table has a row for each"));
    }
}
