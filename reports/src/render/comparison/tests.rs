use unicode_width::UnicodeWidthStr;

use super::{Block, comparison, raw};
use crate::example;
use crate::record::{Challenge, Results, Trial, Verdict::*};
use crate::render::table::{MAIN_COLUMNS, Rank};

fn cells<'a>(block: &'a Block, label: &str) -> Vec<&'a str> {
    let at = block.table.columns.iter().position(|column| column.label == label).unwrap();
    block.table.rows().map(|row| row[at].text.as_str()).collect()
}

fn one(trials: Vec<Trial>) -> Block {
    let mut blocks = comparison(&example::results(trials));
    assert_eq!(blocks.len(), 1);
    blocks.remove(0)
}

#[test]
fn a_small_run_is_one_table_by_family_with_the_main_columns_first() {
    let block = comparison(&example::all_verdicts()).remove(0);
    let main = block.table.columns.iter().take_while(|column| column.rank < Rank::Detail(0)).count();
    assert_eq!(main, MAIN_COLUMNS);
    assert!(block.table.columns[main..].iter().all(|column| column.rank >= Rank::Detail(0)));
    let titles: Vec<&str> = block.table.sections.iter().map(|section| section.title.as_str()).collect();
    assert_eq!(titles, ["Needs downtime", "Online", "Negative controls (unsafe on purpose)"]);
    insta::assert_snapshot!(block.table.select(|column| column.rank < Rank::Detail(0)).markdown());
}

#[test]
fn a_row_states_how_it_differs() {
    let mut delete = example::trial("one-step", Restorable);
    delete.workload.journal_mode = Some("delete".into());
    let block = one(vec![example::trial("one-step", Restorable), delete]);
    assert_eq!(cells(&block, "Strategy"), ["one-step, journal mode delete", "one-step, journal mode wal"]);
    assert!(!block.shared.contains("journal mode"));
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
    assert_eq!(cells(&one(vec![trial(false), trial(false)]), "Verdict"), ["restorable, not challenged"]);
    assert_eq!(cells(&one(vec![trial(false), trial(true)]), "Verdict"), ["restorable"]);
}

#[test]
fn a_verdict_shows_how_many_trials_have_it_and_what_was_expected() {
    let mut trials = vec![example::trial("shell", Restorable); 3];
    trials[1] = example::trial("shell", Stalled);
    assert_eq!(cells(&one(trials.clone()), "Verdict"), ["stalled 1 of 3"]);
    trials[0].expected = vec![Failed, Restorable];
    let block = one(trials);
    assert_eq!(cells(&block, "Verdict"), ["stalled 1 of 3, expected failed or restorable"]);
    assert_eq!(cells(&block, "Backup"), ["1.25 s in 2 of 3"]);
}

#[test]
fn a_percentile_of_few_writes_is_marked() {
    let mut trial = example::trial("shell", Restorable);
    assert_eq!(cells(&one(vec![trial.clone()]), "p99 write latency"), ["2.50 ms → 8.00 ms*"]);
    let impact = trial.impact.as_mut().unwrap();
    for window in impact.reference.iter_mut().chain(&mut impact.during) {
        window.writes = Some(1000);
    }
    assert_eq!(cells(&one(vec![trial]), "p99 write latency"), ["2.50 ms → 8.00 ms"]);
}

#[test]
fn old_records_are_compared_by_the_loss_at_the_disaster_and_empty_details_are_left_out() {
    let mut trial = example::trial("shell", Restorable);
    assert_eq!(cells(&one(vec![trial.clone()]), "Loss"), ["10.0 ms"]);
    assert_eq!(cells(&one(vec![trial.clone()]), "Loss at disaster"), ["2.00 s"]);
    let point = trial.recovery_point.as_mut().unwrap();
    (point.lost_seconds_at_completion, point.lost_writes_at_completion) = (None, None);
    let block = one(vec![trial]);
    let labels: Vec<&str> = block.table.columns.iter().map(|column| column.label.as_str()).collect();
    assert_eq!(labels[4], "Loss at disaster");
    assert!(!labels.contains(&"Loss") && !labels.contains(&"Writes lost"), "{labels:?}");
}

#[test]
fn a_failure_is_never_a_blank() {
    let trials = vec![example::trial("shell", Stalled), example::trial("tool", Unavailable)];
    assert_eq!(cells(&one(trials), "Backup"), ["incomplete after 1.25 s", "not run"]);
}

#[test]
fn programs_get_raw_numbers_with_their_range() {
    let mut trials = vec![example::trial("one-step", Restorable); 2];
    trials[1].backup.as_mut().unwrap().seconds = Some(1.75);
    let results: Results = example::results(trials);
    let json = raw(&results).json();
    let row = &json[0];
    for (key, value) in [("backup_seconds", 1.5), ("backup_seconds_min", 1.25), ("backup_seconds_max", 1.75)]
    {
        assert_eq!(row[key], value);
    }
    assert_eq!(
        (&row["family"], &row["verdict"], &row["trials"]),
        (&"online".into(), &"restorable".into(), &2.into())
    );
    assert!(row["downtime_seconds"].is_number() && row["backup_bytes_read"].is_null());
}

/// All published results.
fn published() -> Vec<Results> {
    let published = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("published");
    let directories = std::fs::read_dir(published).unwrap().flatten().filter(|entry| entry.path().is_dir());
    directories.map(|directory| Results::load(&directory.path().join("results.json")).unwrap()).collect()
}

#[test]
fn published_comparisons_fit_terminals_without_a_broken_word() {
    for results in published() {
        for block in comparison(&results) {
            for width in [80, 100, 140] {
                let fitted = block.table.fit(width);
                let place = format!("{} at {width}:\n{}", results.run.id, fitted.text);
                assert!(fitted.text.lines().all(|line| line.width() <= width), "{place}");
                assert!(!fitted.text.contains('…'), "{place}");
                for row in block.table.rows() {
                    for word in row[..2].iter().flat_map(|cell| cell.text.split_whitespace()) {
                        assert!(fitted.text.contains(word), "{word} in {place}");
                    }
                }
            }
        }
    }
}
