//! The comparison: a row for each group of repetitions, in families, with the best of each column marked.

use std::collections::BTreeMap;

use super::figures::{
    BACKUP, Better, FIRST, Figure, LOSS, MORE, PERCENTILES, Unit, floor_seconds, writes_behind,
};
use super::label::{self, Shared};
use super::trial;
use crate::compare::{Group, groups};
use crate::record::{Results, Trial, Verdict};
use crate::render::family::Family;
use crate::render::{conditions, number, words};

/// A 99th percentile of fewer writes is based on fewer than ten of them.
const WRITES_OF_A_PERCENTILE: u64 = 1000;

/// The whole comparison.
pub(super) struct Comparison {
    pub columns: Vec<Column>,
    pub families: Vec<FamilyRows>,
    /// The conditions that all rows share, by subject.
    pub conditions: Vec<(String, String)>,
    /// Settings that have the same value in all strategies that have them.
    pub settings: Vec<String>,
    /// The choices of the filters.
    pub verdicts: Vec<&'static str>,
    pub subjects: Vec<String>,
    pub loads: Vec<String>,
}

/// A column of figures.
pub(super) struct Column {
    pub key: &'static str,
    pub label: &'static str,
    pub unit: &'static str,
    pub meaning: &'static str,
    /// Shown only when the reader asks for more columns.
    pub is_more: bool,
}

/// The rows of one family.
pub(super) struct FamilyRows {
    pub key: &'static str,
    pub title: &'static str,
    pub rows: Vec<Row>,
}

/// One group of repetitions.
pub(super) struct Row {
    /// The worst verdict, as a class and in words.
    pub verdict: &'static str,
    pub verdict_text: &'static str,
    /// From the best verdict to the worst.
    pub verdict_rank: usize,
    /// Notes on the verdict: how many trials have it, whether it was expected, whether it was challenged.
    pub notes: Vec<String>,
    pub strategy: String,
    pub variant: String,
    /// The conditions and settings in which the row differs from others.
    pub remarks: Vec<String>,
    /// All settings and versions, shown on demand.
    pub all_settings: Vec<(String, String)>,
    pub versions: Vec<(String, String)>,
    pub subject: String,
    pub load: String,
    pub family: &'static str,
    /// The text that the text filter searches.
    pub text: String,
    pub cells: Vec<Cell>,
    pub survives: &'static str,
    /// The ids of the trials, with the addresses of their sections.
    pub trials: Vec<(String, String)>,
}

/// One figure of a group.
#[derive(Default)]
pub(super) struct Cell {
    pub text: String,
    /// Spaces in place of the decimal digits that other values of the column have.
    pub pad: String,
    /// The sort key; `None` where there is no value, which is sorted last.
    pub sort: Option<f64>,
    pub notes: Vec<String>,
    pub is_best: bool,
    pub is_more: bool,
    pub key: &'static str,
    pub label: &'static str,
    pub unit: &'static str,
}

/// The comparison of a run.
pub(super) fn of(results: &Results) -> Comparison {
    let mut groups = groups(&results.trials);
    groups.sort_by_key(|group| (Family::of(group), load_order(group.first)));
    let figures = figures(&groups);
    let best = figures.iter().map(|(figure, unit, _)| best(figure, *unit, &groups)).collect::<Vec<_>>();
    let shared = Shared::of(&groups);
    let mut families: Vec<FamilyRows> = Vec::new();
    for group in &groups {
        let family = Family::of(group);
        if families.last().is_none_or(|last| last.key != family.key()) {
            families.push(FamilyRows { key: family.key(), title: family.title(), rows: Vec::new() });
        }
        let mut row = row(group, &shared);
        row.cells = figures.iter().zip(&best).map(|(figure, best)| cell(figure, best, group)).collect();
        families.last_mut().expect("one was pushed").rows.push(row);
    }
    align(families.iter_mut().flat_map(|family| &mut family.rows));
    let rows = || families.iter().flat_map(|family| &family.rows);
    Comparison {
        verdicts: distinct(rows().map(|row| row.verdict_text)),
        subjects: distinct(rows().map(|row| row.subject.clone())),
        loads: distinct(rows().map(|row| row.load.clone())),
        columns: figures.iter().map(|(figure, unit, is_more)| column(figure, *unit, *is_more)).collect(),
        conditions: shared.conditions,
        settings: shared.settings,
        families,
    }
}

/// Aligns the numbers of each column at the decimal point.
fn align<'a>(rows: impl Iterator<Item = &'a mut Row>) {
    let mut rows: Vec<&mut Row> = rows.collect();
    let places = |text: &str| text.split_once('.').map_or(0, |(_, places)| places.len());
    for column in 0..rows.first().map_or(0, |row| row.cells.len()) {
        let cells = || rows.iter().map(|row| &row.cells[column]).filter(|cell| cell.sort.is_some());
        let most = cells().map(|cell| places(&cell.text)).max().unwrap_or(0);
        for cell in rows.iter_mut().map(|row| &mut row.cells[column]).filter(|cell| cell.sort.is_some()) {
            let own = places(&cell.text);
            // Spaces as wide as the point and as a digit.
            let point = if own == 0 && most > 0 { "\u{2008}" } else { "" };
            cell.pad = format!("{point}{}", "\u{2007}".repeat(most - own));
        }
    }
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// The figures with their units: the main ones, and those of the others that any group has.
fn figures(groups: &[Group<'_>]) -> Vec<(Figure, Unit, bool)> {
    let all = FIRST.iter().map(|figure| (figure, false)).chain(MORE.iter().map(|figure| (figure, true)));
    let with_unit = all.filter_map(|(figure, is_more)| {
        let medians: Vec<f64> =
            groups.iter().filter_map(|group| Some(group.spread(figure.value)?.median)).collect();
        let is_shown = !is_more || !medians.is_empty();
        is_shown.then(|| (*figure, Unit::of(figure.quantity, &medians), is_more))
    });
    with_unit.collect()
}

fn column(figure: &Figure, unit: Unit, is_more: bool) -> Column {
    Column { key: figure.key, label: figure.label, unit: unit.name, meaning: figure.meaning, is_more }
}

/// The key that rows are ordered by within a family: size, rate and subject.
fn load_order(trial: &Trial) -> (u64, u64, String) {
    let rate = trial.workload.writes_per_second.map_or(u64::MAX, |rate| rate.max(0.0).to_bits());
    (trial.dataset.target_bytes, rate, conditions::subject(trial))
}

/// The best value of a figure for each load and subject, with its text: values with the same text count as equally
/// good. Only restorable backups that survive the loss of the disk compete: the others do not solve the same problem.
fn best(figure: &Figure, unit: Unit, groups: &[Group<'_>]) -> BTreeMap<(u64, u64, String), (f64, String)> {
    let mut best: BTreeMap<(u64, u64, String), (f64, String)> = BTreeMap::new();
    let competing = groups.iter().filter(|group| {
        group.verdict() == Verdict::Restorable
            && !matches!(Family::of(group), Family::SameDisk | Family::Control)
    });
    for group in competing {
        let Some(spread) = group.spread(figure.value) else { continue };
        let is_better = |known: f64| match figure.better {
            Better::Lower => spread.median < known,
            Better::Higher => spread.median > known,
            Better::Neither => false,
        };
        let place = load_order(group.first);
        if figure.better != Better::Neither && best.get(&place).is_none_or(|(known, _)| is_better(*known)) {
            best.insert(place, (spread.median, unit.show(spread.median)));
        }
    }
    best
}

fn cell(
    (figure, unit, is_more): &(Figure, Unit, bool),
    best: &BTreeMap<(u64, u64, String), (f64, String)>,
    group: &Group<'_>,
) -> Cell {
    let base =
        Cell { is_more: *is_more, key: figure.key, label: figure.label, unit: unit.name, ..Cell::default() };
    let Some(spread) = group.spread(figure.value) else {
        return Cell { text: missing(figure, *unit, group), ..base };
    };
    let text = unit.show(spread.median);
    let mut notes = Vec::new();
    let (min, max) = (unit.show(spread.min), unit.show(spread.max));
    if min != max {
        notes.push(format!("{min} to {max}"));
    }
    if spread.count < group.trials.len() {
        notes.push(format!("in {} of {}", spread.count, group.trials.len()));
    }
    if figure.key == LOSS && group.trials.iter().all(|trial| floor_seconds(trial).is_none()) {
        notes.push("at disaster".to_string());
    }
    notes.extend(few_writes(figure, group));
    let competes = group.verdict() == Verdict::Restorable
        && !matches!(Family::of(group), Family::SameDisk | Family::Control);
    let is_best = competes && best.get(&load_order(group.first)).is_some_and(|(_, shown)| *shown == text);
    Cell { text, sort: Some(spread.median), notes, is_best, ..base }
}

/// The note that a percentile is based on few writes.
fn few_writes(figure: &Figure, group: &Group<'_>) -> Option<String> {
    let counted = group.trials.iter().filter_map(|trial| writes_behind(figure.key, trial));
    let fewest = counted.min().filter(|_| PERCENTILES.contains(&figure.key))?;
    (fewest < WRITES_OF_A_PERCENTILE).then(|| format!("of only {} writes", number::count(fewest as f64)))
}

/// The text for a figure without a value: for the backup, how it ended.
fn missing(figure: &Figure, unit: Unit, group: &Group<'_>) -> String {
    let given = group.spread(|trial| Some(trial.backup.as_ref()?.elapsed_seconds));
    match given.filter(|_| figure.key == BACKUP) {
        Some(given) => format!("{} after {}", words::verdict(group.verdict()), unit.show(given.max)),
        None if figure.key == BACKUP => words::verdict(group.verdict()).to_string(),
        None => number::MISSING.to_string(),
    }
}

fn row(group: &Group<'_>, shared: &Shared) -> Row {
    let first = group.first;
    let verdict = group.verdict();
    let variant = label::variant(first);
    let remarks = shared.remarks_on(first);
    let subject = conditions::subject(first);
    let text = [&first.strategy, &variant, &remarks.join(" "), &subject, words::verdict(verdict)]
        .map(|text| text.to_lowercase())
        .join(" ");
    Row {
        verdict: verdict.name(),
        verdict_text: words::verdict(verdict),
        verdict_rank: verdict as usize,
        notes: verdict_notes(group, verdict),
        strategy: first.strategy.clone(),
        variant,
        remarks,
        all_settings: label::settings(first),
        versions: first.versions.clone().into_iter().collect(),
        load: format!("{}, {}", conditions::size(first), conditions::rate(first)),
        family: Family::of(group).key(),
        subject,
        text,
        cells: Vec::new(),
        survives: words::survives_disk_loss(first.survives_disk_loss),
        trials: group.trials.iter().map(|trial| (trial.id.clone(), trial::anchor(&trial.id))).collect(),
    }
}

fn verdict_notes(group: &Group<'_>, verdict: Verdict) -> Vec<String> {
    let mut notes = Vec::new();
    let same = group.trials.iter().filter(|trial| trial.verdict == verdict).count();
    if same < group.trials.len() {
        notes.push(format!("{same} of {}", group.trials.len()));
    }
    let expected = &group.first.expected;
    if !expected.is_empty() && !expected.contains(&verdict) {
        let names: Vec<&str> = expected.iter().map(|verdict| words::verdict(*verdict)).collect();
        notes.push(format!("expected {}", names.join(" or ")));
    } else if verdict != Verdict::Restorable && !expected.is_empty() {
        notes.push("as expected".to_string());
    }
    if group.is_right_by_luck() {
        notes.push("not challenged".to_string());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::{Row, of};
    use crate::example;
    use crate::record::{Challenge, Verdict::*};

    fn rows(trials: Vec<crate::record::Trial>) -> Vec<Row> {
        of(&example::results(trials)).families.into_iter().flat_map(|family| family.rows).collect()
    }

    fn cell<'a>(row: &'a Row, key: &str) -> &'a super::Cell {
        row.cells.iter().find(|cell| cell.key == key).unwrap()
    }

    #[test]
    fn families_come_in_order_with_controls_last() {
        let mut control = example::trial("hot-copy", Corrupt);
        control.control = true;
        let mut cold = example::trial("cold-copy", Restorable);
        cold.kind = Some("cold".into());
        let comparison = of(&example::results(vec![control, example::trial("one-step", Restorable), cold]));
        let keys: Vec<&str> = comparison.families.iter().map(|family| family.key).collect();
        assert_eq!(keys, ["needs_downtime", "online", "control"]);
    }

    #[test]
    fn a_failed_backup_shows_how_it_ended_and_is_sorted_last() {
        let rows = rows(vec![example::trial("shell", Stalled), example::trial("gone", Unavailable)]);
        assert_eq!(cell(&rows[0], "backup").text, "stalled after 1.25");
        assert_eq!(cell(&rows[0], "backup").sort, None);
        assert_eq!(cell(&rows[1], "backup").text, "unavailable");
        assert_eq!(cell(&rows[1], "recovery").text, "–");
    }

    #[test]
    fn the_best_is_a_restorable_backup_that_survives_the_disk() {
        let mut snapshot = example::trial("snapshot", Restorable);
        snapshot.survives_disk_loss = Some(false);
        snapshot.backup.as_mut().unwrap().seconds = Some(0.01);
        let mut wrong = example::trial("wrong", Corrupt);
        wrong.backup.as_mut().unwrap().seconds = Some(0.02);
        let mut slow = example::trial("slow", Restorable);
        slow.backup.as_mut().unwrap().seconds = Some(9.0);
        let rows = rows(vec![snapshot, wrong, example::trial("right", Restorable), slow]);
        let best: Vec<&str> =
            rows.iter().filter(|row| cell(row, "backup").is_best).map(|row| row.strategy.as_str()).collect();
        assert_eq!(best, ["right"]);
    }

    #[test]
    fn notes_are_shown_beside_figures_and_verdicts() {
        let mut lucky = example::trial("lucky", Restorable);
        let backup = lucky.backup.as_mut().unwrap();
        backup.challenge = Some(Challenge { challenged: false, ..Challenge::default() });
        let mut continuous = example::trial("replica", Restorable);
        continuous.kind = Some("continuous".into());
        let rows = rows(vec![lucky, continuous]);
        assert_eq!(rows[0].notes, ["not challenged"]);
        assert_eq!(cell(&rows[0], "p99_during").notes, ["of only 100 writes"]);
        assert_eq!(cell(&rows[0], "loss").text, "0.010");
        assert_eq!(cell(&rows[1], "loss").notes, ["at disaster"]);
        assert_eq!(cell(&rows[1], "loss").text, "2.00");
    }
}
