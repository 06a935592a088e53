//! The comparison as a table: plain data, for the terminal and for Markdown alike.

use crate::gate::{Answer, Change, Comparison, Row};
use crate::render::number;
use crate::render::table::Table;

/// The rows of a comparison, the worst first; without those that are equivalent unless `all` is set.
pub fn table(comparison: &Comparison, all: bool) -> Table {
    let header =
        ["Answer", "Subject", "Metric", "Baseline", "Candidate", "Change (90 % interval)", "Pairs", "Why"];
    let shown = Answer::WORST_FIRST.into_iter().filter(|answer| all || *answer != Answer::Equivalent);
    let rows = shown.flat_map(|answer| comparison.rows.iter().filter(move |row| row.answer == answer));
    Table::of_texts(header, rows.map(cells).collect())
}

fn cells(row: &Row) -> Vec<String> {
    let missing = || number::MISSING.to_owned();
    vec![
        row.answer.name().into(),
        row.subject.clone(),
        row.metric.into(),
        row.baseline.clone().unwrap_or_else(missing),
        row.candidate.clone().unwrap_or_else(missing),
        row.change.map_or_else(missing, change),
        row.pairs.to_string(),
        row.because.clone(),
    ]
}

/// `+27 % (+20 % to +35 %)`.
fn change(change: Change) -> String {
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    format!("{} ({} to {})", percent(change.ratio), percent(change.low), percent(change.high))
}

/// How many rows have which answer: `1 regressed, 2 inconclusive, 0 improved, 14 equivalent`.
pub fn summary(comparison: &Comparison) -> String {
    let counts = Answer::WORST_FIRST.map(|answer| format!("{} {}", comparison.count(answer), answer.name()));
    counts.join(", ")
}
