//! The comparison as a table: plain data, for the terminal and for Markdown.

use crate::gate::{Answer, Change, Comparison, Row};
use crate::render::number;
use crate::render::table::{Cell, Column, Rank, Table};

/// The column with the reasons that [`reasons`] lists.
pub const WHY: &str = "Why";

/// The reasons for the answers, the worst first: each reason once, with the metrics that it applies to.
pub fn reasons(comparison: &Comparison, all: bool) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for row in shown(comparison, all) {
        let about = format!("{} of {}", row.metric, row.subject);
        match reasons.iter_mut().find(|(because, _)| *because == row.because) {
            Some((_, metrics)) => metrics.push(about),
            None => reasons.push((&row.because, vec![about])),
        }
    }
    reasons.iter().map(|(because, metrics)| format!("{}: {because}", metrics.join(", "))).collect()
}

fn shown(comparison: &Comparison, all: bool) -> impl Iterator<Item = &Row> {
    let answers = Answer::WORST_FIRST.into_iter().filter(move |answer| all || *answer != Answer::Equivalent);
    answers.flat_map(|answer| comparison.rows.iter().filter(move |row| row.answer == answer))
}

/// The rows of a comparison, the worst first. Equivalent rows are included only when `all` is set.
pub fn table(comparison: &Comparison, all: bool) -> Table {
    let header =
        ["Answer", "Subject", "Metric", "Baseline", "Candidate", "Change (90 % interval)", "Pairs", WHY];
    Table::of_texts(header, shown(comparison, all).map(cells).collect())
}

/// The same rows for programs: the change as three numbers, the ratio of candidate to baseline and the bounds of its 90 %
/// interval.
pub fn table_of_numbers(comparison: &Comparison, all: bool) -> Table {
    let text = |key| Column::text(key, key, Rank::Always);
    let number = |key| Column::number(key, key, Rank::Always);
    let mut table = Table::new(vec![
        text("answer"),
        text("subject"),
        text("metric"),
        text("baseline"),
        text("candidate"),
        number("change_ratio"),
        number("change_ratio_low"),
        number("change_ratio_high"),
        number("pairs"),
        text("why"),
    ]);
    for row in shown(comparison, all) {
        let ratio = |of: fn(Change) -> f64| Cell::measured(row.change.map(of), number::ratio);
        table.push(vec![
            Cell::text(row.answer.name()),
            Cell::text(row.subject.clone()),
            Cell::text(row.metric),
            Cell::text(row.baseline.clone().unwrap_or_default()),
            Cell::text(row.candidate.clone().unwrap_or_default()),
            ratio(|change| change.ratio),
            ratio(|change| change.low),
            ratio(|change| change.high),
            Cell::count(row.pairs as u64),
            Cell::text(row.because.clone()),
        ]);
    }
    table
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

/// The number of rows with each answer: `1 regressed, 2 inconclusive, 0 improved, 14 equivalent`.
pub fn summary(comparison: &Comparison) -> String {
    let counts = Answer::WORST_FIRST.map(|answer| format!("{} {}", comparison.count(answer), answer.name()));
    counts.join(", ")
}
