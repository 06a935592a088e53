//! The limits up to which each strategy worked in the run.

use crate::advise::{Axis, Point, Viability, viability};
use crate::record::{Results, Trial};
use crate::render::{conditions::Conditions, number, table::Table, words};

/// Whether the run tests a strategy at several sizes or rates.
pub(super) fn is_varied(results: &Results) -> bool {
    viability(results).iter().any(|one| one.points.len() > 1)
}

/// The section on limits, where the run varies size or rate.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let found = viability(results);
    if !is_varied(results) {
        return Vec::new();
    }
    let mut blocks = vec![
        "## Limits found".to_string(),
        "The limits up to which each strategy worked in this run. A strategy works at a size or rate when all its \
         trials there were restorable; inconclusive and unavailable trials do not count. Nothing is extrapolated, \
         and negative controls are left out."
            .to_string(),
    ];
    for axis in [Axis::Size, Axis::Rate] {
        let series: Vec<&Viability<'_>> = found.iter().filter(|one| one.axis == axis).collect();
        if !series.is_empty() {
            blocks.push(axis_table(axis, &series).markdown());
        }
    }
    blocks
}

fn axis_table(axis: Axis, series: &[&Viability<'_>]) -> Table {
    let firsts: Vec<&Trial> = series.iter().map(|one| one.first).collect();
    let own_label = match axis {
        Axis::Size => "size",
        Axis::Rate => "writes",
    };
    let conditions = Conditions::of(&firsts).without(own_label);
    let header = ["Strategy", "Works up to", "Fails from", "Tested"];
    let rows = series.iter().map(|one| {
        let mut row = vec![conditions.row_name(one.first)];
        let tried: Vec<String> = one.points.iter().map(|point| place(axis, point)).collect();
        row.extend([viable_up_to(one), not_viable_from(one), tried.join(", ")]);
        row
    });
    Table::of_texts(header, rows.collect())
}

fn viable_up_to(one: &Viability<'_>) -> String {
    match (one.viable_up_to(), one.largest_tried()) {
        (Some(good), largest) if largest == Some(good) => {
            format!("{}, the largest tested", place(one.axis, &good))
        }
        (Some(good), _) => place(one.axis, &good),
        (None, _) if one.not_viable_from().is_some() => "none of the tested values".to_string(),
        (None, _) => "no result".to_string(),
    }
}

fn not_viable_from(one: &Viability<'_>) -> String {
    let unproven: Vec<String> =
        one.points.iter().filter(|point| !point.is_proof()).map(|point| in_full(one.axis, point)).collect();
    let mut parts = match (one.not_viable_from(), one.viable_up_to()) {
        (Some(bad), Some(good)) if bad.value < good.value => {
            vec![format!(
                "{}, but works at a larger value, so this is not the only cause",
                in_full(one.axis, &bad)
            )]
        }
        (Some(bad), _) => vec![in_full(one.axis, &bad)],
        (None, _) if unproven.is_empty() => vec!["no failure observed".to_string()],
        (None, _) => Vec::new(),
    };
    if !unproven.is_empty() {
        parts.push(format!("no result at {}", unproven.join(", ")));
    }
    parts.join("; ")
}

/// A point with its verdict: `1.00 GiB (stalled)`.
fn in_full(axis: Axis, point: &Point) -> String {
    format!("{} ({})", place(axis, point), words::verdict(point.verdict))
}

fn place(axis: Axis, point: &Point) -> String {
    match axis {
        Axis::Size => number::bytes(point.value),
        Axis::Rate => number::rate(point.value),
    }
}

#[cfg(test)]
mod tests {
    use super::blocks;
    use crate::example;
    use crate::record::Verdict::*;

    #[test]
    fn each_strategy_stops_where_the_run_shows_it_and_nowhere_else() {
        let trials = [
            ("one-step", 100, Restorable),
            ("one-step", 1000, Restorable),
            ("shell", 100, Restorable),
            ("shell", 1000, Stalled),
            ("shipper", 100, Unavailable),
            ("slow", 100, TimedOut),
            ("unsteady", 100, Lossy),
            ("unsteady", 1000, Restorable),
            ("vague", 100, Restorable),
            ("vague", 1000, Unverified),
        ];
        let trials = trials.map(|(strategy, mib, verdict)| {
            let mut trial = example::trial(strategy, verdict);
            trial.dataset.target_bytes = mib << 20;
            trial
        });
        insta::assert_snapshot!(blocks(&example::results(trials.to_vec())).join("\n\n"));
    }

    #[test]
    fn a_run_that_varies_the_rate_has_limits_by_rate() {
        let mut trials = vec![example::trial("shell", Stalled), example::trial("shell", Restorable)];
        trials[1].workload.writes_per_second = Some(1.0);
        let text = blocks(&example::results(trials)).join("\n\n");
        assert!(text.ends_with("| shell | 1 /s | 20 /s (stalled) | 1 /s, 20 /s |"), "{text}");
    }
}
