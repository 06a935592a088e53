//! The comparison of a run as tables: plain data, for the terminal and for Markdown alike.

use crate::compare::{Group, Spread, groups};
use crate::record::{Results, Trial, Verdict, Window};
use crate::render::{conditions, markdown::challenge, number};

/// A run with more rows than this gets one table for each dataset size, rate and subject.
const ROWS_IN_ONE_TABLE: usize = 12;

/// A header and rows of as many cells, as plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// One table of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What tells it from the other blocks; empty when it is the only one.
    pub title: String,
    /// The conditions that all its trials share.
    pub shared: String,
    /// A row for each group of repetitions.
    pub table: Table,
}

/// The comparison of a run: one row for each group of repetitions, in the order in which they ran, by dataset
/// size, rate and subject. Where trials were repeated, a cell is the median with the range.
pub fn comparison(results: &Results) -> Vec<Block> {
    let mut groups = groups(&results.trials);
    groups.sort_by_key(|group| block_order(group.first));
    let split = groups.len() > ROWS_IN_ONE_TABLE;
    groups
        .chunk_by(|a, b| !split || block_order(a.first) == block_order(b.first))
        .map(|rows| block(rows, split))
        .collect()
}

fn block(groups: &[Group<'_>], titled: bool) -> Block {
    let trials: Vec<&Trial> = groups.iter().flat_map(|group| group.trials.iter().copied()).collect();
    let first = groups[0].first;
    let varying = conditions::varying(&trials);
    let mut columns = vec![
        Column { label: "Verdict", cell: Box::new(verdict) },
        Column { label: "Strategy", cell: Box::new(|group| conditions::strategy(group.first)) },
    ];
    for condition in varying {
        columns.push(Column {
            label: condition.label,
            cell: Box::new(move |group| (condition.text)(group.first)),
        });
    }
    if groups.iter().any(|group| group.trials.len() > 1) {
        columns.push(Column { label: "Trials", cell: Box::new(|group| group.trials.len().to_string()) });
    }
    columns.extend(measured_columns());
    let title = if titled {
        format!("{}, {}, {}", conditions::size(first), conditions::rate(first), conditions::subject(first))
    } else {
        String::new()
    };
    let table = Table {
        header: columns.iter().map(|column| column.label.to_string()).collect(),
        rows: groups
            .iter()
            .map(|group| columns.iter().map(|column| (column.cell)(group)).collect())
            .collect(),
    };
    Block { title, shared: conditions::shared(&trials), table }
}

/// What blocks are split and ordered by: size, rate (a closed loop last), application, engine and journal mode.
fn block_order(trial: &Trial) -> (u64, u64, String) {
    // Bits of numbers that are not negative are ordered as the numbers are.
    let rate = trial.workload.writes_per_second.map_or(u64::MAX, |rate| rate.max(0.0).to_bits());
    (trial.dataset.target_bytes, rate, conditions::subject(trial))
}

struct Column {
    label: &'static str,
    cell: Box<dyn Fn(&Group<'_>) -> String>,
}

fn measured_columns() -> Vec<Column> {
    vec![
        Column { label: "Backup", cell: Box::new(backup_time) },
        measured("vs copy", number::ratio, |trial| trial.backup.as_ref()?.vs_copy),
        Column { label: "Write p99", cell: Box::new(|group| latency(group, |window| window.p99_ms)) },
        Column { label: "Worst write", cell: Box::new(|group| latency(group, |window| window.max_ms)) },
        measured("Downtime", number::seconds, |trial| trial.impact.as_ref()?.blocked_seconds),
        measured("Lost writes", number::count, |trial| {
            Some(trial.recovery_point.as_ref()?.lost_writes as f64)
        }),
        measured("Lost time", number::seconds, |trial| trial.recovery_point.as_ref()?.lost_seconds),
        measured("Recovery", number::seconds, |trial| trial.restore.as_ref()?.recovery_seconds),
        measured("Artifact", number::bytes, |trial| Some(trial.backup.as_ref()?.artifact_bytes? as f64)),
        measured("Memory", number::bytes, |trial| Some(trial.resources.strategy.memory_bytes_max? as f64)),
    ]
}

fn measured(label: &'static str, format: fn(f64) -> String, value: fn(&Trial) -> Option<f64>) -> Column {
    Column {
        label,
        cell: Box::new(move |group| number::spread(group.spread(value), group.trials.len(), format)),
    }
}

/// The worst verdict of the group, with how many of the trials came to it, and whether that was expected.
fn verdict(group: &Group<'_>) -> String {
    let verdict = group.verdict();
    let same = group.trials.iter().filter(|trial| trial.verdict == verdict).count();
    let mut text = verdict.to_string();
    if same < group.trials.len() {
        text += &format!(", {same} of {}", group.trials.len());
    }
    text + &expectation(group.first, verdict) + unchallenged(group, verdict)
}

/// What stands beside a verdict that luck alone may have brought about.
fn unchallenged(group: &Group<'_>, verdict: Verdict) -> &'static str {
    let challenges = challenge::of(group);
    let lucky = !challenges.is_empty() && challenges.iter().all(|challenge| !challenge.challenged);
    if verdict == Verdict::Restorable && lucky { " (not challenged)" } else { "" }
}

/// How a verdict stands to what the scenario expects; empty where it expects nothing special.
fn expectation(trial: &Trial, verdict: Verdict) -> String {
    let names: Vec<&str> = trial.expected.iter().map(|verdict| verdict.name()).collect();
    match (names.as_slice(), trial.expected.contains(&verdict)) {
        ([], _) | (["restorable"], true) => String::new(),
        (_, true) => " (as expected)".to_string(),
        (_, false) => format!(" (expected: {})", names.join(" or ")),
    }
}

/// The time of the backups that finished; without any, how long they were given.
fn backup_time(group: &Group<'_>) -> String {
    let finished = group.spread(|trial| trial.backup.as_ref()?.seconds);
    if finished.is_some() {
        return number::spread(finished, group.trials.len(), number::seconds);
    }
    let given = group.spread(|trial| Some(trial.backup.as_ref()?.elapsed_seconds));
    match given {
        Some(given) => format!("not in {}", number::seconds(given.max)),
        None => number::MISSING.to_string(),
    }
}

/// A latency in the reference window and in the backup window: `2.50 ms → 8.00 ms`.
fn latency(group: &Group<'_>, of: fn(&Window) -> Option<f64>) -> String {
    let reference = group.spread(|trial| of(trial.impact.as_ref()?.reference.as_ref()?));
    let during = group.spread(|trial| of(trial.impact.as_ref()?.during.as_ref()?));
    if reference.is_none() && during.is_none() {
        return number::MISSING.to_string();
    }
    let median =
        |spread: Option<Spread>| number::or_missing(spread.map(|spread| spread.median), number::milliseconds);
    format!("{} → {}", median(reference), number::spread(during, group.trials.len(), number::milliseconds))
}

#[cfg(test)]
mod tests {
    use super::comparison;
    use crate::example;
    use crate::record::{Challenge, Verdict::*};

    fn cells<'a>(block: &'a super::Block, label: &str) -> Vec<&'a str> {
        let at = block.table.header.iter().position(|header| header == label).unwrap();
        block.table.rows.iter().map(|row| row[at].as_str()).collect()
    }

    #[test]
    fn a_small_run_is_one_table_with_columns_for_what_varies() {
        let blocks = comparison(&example::all_verdicts());
        assert_eq!(blocks.len(), 1);
        insta::assert_debug_snapshot!(blocks);
    }

    #[test]
    fn a_run_that_varies_the_journal_mode_has_a_column_for_it() {
        let mut delete = example::trial("one-step", Restorable);
        delete.workload.journal_mode = Some("delete".into());
        let blocks = comparison(&example::results(vec![example::trial("one-step", Restorable), delete]));
        assert_eq!(cells(&blocks[0], "Journal mode"), ["delete", "wal"]);
        assert!(!blocks[0].shared.contains("journal mode"));
    }

    #[test]
    fn a_large_run_is_split_by_size_rate_and_subject() {
        let mut trials = Vec::new();
        for strategy in 0..7 {
            for rate in [5.0, 1.0] {
                let mut trial = example::trial(&format!("s{strategy}"), Restorable);
                trial.workload.writes_per_second = Some(rate);
                trials.push(trial);
            }
        }
        let blocks = comparison(&example::results(trials));
        let titles: Vec<&str> = blocks.iter().map(|block| block.title.as_str()).collect();
        assert_eq!(
            titles,
            ["300 MiB, 1 /s, embedded on sqlite (wal)", "300 MiB, 5 /s, embedded on sqlite (wal)"]
        );
    }

    #[test]
    fn a_verdict_that_nothing_challenged_says_so() {
        let trial = |challenged| {
            let mut trial = example::trial("shell", Restorable);
            trial.backup.as_mut().unwrap().challenge = Some(Challenge { challenged, ..Challenge::default() });
            trial
        };
        let verdicts = |trials| cells(&comparison(&example::results(trials))[0], "Verdict")[0].to_owned();
        assert_eq!(verdicts(vec![trial(false), trial(false)]), "restorable (not challenged)");
        assert_eq!(verdicts(vec![trial(false), trial(true)]), "restorable");
    }

    #[test]
    fn a_verdict_says_how_many_trials_came_to_it_and_what_was_expected() {
        let mut trials = vec![example::trial("shell", Restorable); 3];
        trials[1] = example::trial("shell", Stalled);
        assert_eq!(cells(&comparison(&example::results(trials.clone()))[0], "Verdict"), ["stalled, 1 of 3"]);
        trials[0].expected = vec![Failed, Restorable];
        let blocks = comparison(&example::results(trials));
        assert_eq!(cells(&blocks[0], "Verdict"), ["stalled, 1 of 3 (expected: failed or restorable)"]);
        assert_eq!(cells(&blocks[0], "Backup"), ["1.25 s in 2 of 3"]);
    }
}
