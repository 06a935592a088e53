use super::super::{Answer, Answer::*, CLAIMS, assess};
use crate::example;
use crate::record::Trial;
use crate::record::Verdict::{self, *};

const DEMO: u64 = 17_604_431_872;

fn answer(name: &str, trials: Vec<Trial>) -> Answer {
    let runs = [example::results(trials)];
    let at = CLAIMS.iter().position(|claim| claim.name == name).unwrap();
    assess(&runs).swap_remove(at).finding.answer
}

fn sized(mut trial: Trial, bytes: u64) -> Trial {
    (trial.dataset.target_bytes, trial.dataset.bytes) = (bytes, bytes);
    trial
}

#[test]
fn a_cold_copy_is_fully_confirmed_only_at_full_size() {
    let name = "A copy with the application stopped";
    let copy = |speed, downtime| {
        let mut trial = example::trial("cold-copy", Restorable);
        trial.backup.as_mut().unwrap().vs_copy = Some(speed);
        trial.impact.as_mut().unwrap().downtime_seconds = Some(downtime);
        trial
    };
    assert_eq!(answer(name, vec![sized(copy(0.9, 3.0), DEMO), copy(0.9, 3.0)]), Confirmed);
    assert_eq!(answer(name, vec![copy(0.9, 3.0)]), ConfirmedUnderConditions);
    assert_eq!(answer(name, vec![copy(0.1, 3.0), copy(0.9, 90.0)]), Refuted);
    let mut mysql = copy(0.9, 3.0);
    mysql.engine = "mysql".into();
    assert_eq!(answer(name, vec![mysql]), NotTested);
    // Runs with the first schema have blocked time only.
    let mut old = copy(0.9, 3.0);
    old.impact.as_mut().unwrap().downtime_seconds = None;
    assert_eq!(answer(name, vec![old]), ConfirmedUnderConditions);
}

fn dump(consistency: &str, blocked: f64, recovery: f64) -> Trial {
    let mut trial = example::trial("mysql-dump", Restorable);
    trial.settings = [("consistency".into(), consistency.into())].into();
    trial.impact.as_mut().unwrap().blocked_seconds = Some(blocked);
    trial.restore.as_mut().unwrap().recovery_seconds = Some(recovery);
    trial
}

#[test]
fn a_dump_in_one_transaction_does_not_block_writers() {
    let name = "mysqldump in one transaction";
    assert_eq!(answer(name, vec![dump("single-transaction", 0.1, 9.0)]), Confirmed);
    assert_eq!(answer(name, vec![dump("single-transaction", 1.0, 9.0)]), Refuted);
    assert_eq!(answer(name, vec![dump("lock-tables", 0.0, 9.0)]), NotTested);
    let mut quiet = dump("single-transaction", 0.0, 9.0);
    quiet.workload.writes_per_second = Some(0.0);
    assert_eq!(answer(name, vec![quiet]), NotTested);
}

#[test]
fn a_small_database_is_restored_in_15_seconds_at_some_sizes() {
    let name = "A small MySQL database in 15 seconds";
    let took = |recovery| sized(dump("single-transaction", 0.0, recovery), 64 << 20);
    let smaller = sized(took(9.0), 16 << 20);
    assert_eq!(answer(name, vec![smaller.clone()]), Confirmed);
    assert_eq!(answer(name, vec![took(120.0)]), Refuted);
    assert_eq!(answer(name, vec![smaller, took(120.0)]), ConfirmedUnderConditions);
    assert_eq!(answer(name, vec![sized(example::trial("mysql-dump", Failed), 16 << 20)]), NotTested);
    assert_eq!(answer(name, vec![sized(took(120.0), 512 << 20)]), NotTested);
}

#[test]
fn one_damaged_copy_is_enough_and_correct_ones_refute_nothing() {
    let name = "cp of live files";
    let copy = |verdict: Verdict| example::trial("hot-copy", verdict);
    assert_eq!(answer(name, vec![copy(Restorable), copy(Corrupt)]), Confirmed);
    assert_eq!(answer(name, vec![copy(Restorable), copy(Restorable)]), NotTested);
    assert_eq!(answer(name, vec![example::trial("cold-copy", Corrupt)]), NotTested);
}

#[test]
fn a_backup_without_never_completed_torrents_is_small() {
    let name = "Leaving out never-completed torrents";
    let selective = |share: f64, bytes: u64| {
        let mut trial = sized(example::trial("selective", Restorable), bytes);
        trial.backup.as_mut().unwrap().artifact_bytes = Some((share * bytes as f64) as u64);
        trial
    };
    assert_eq!(answer(name, vec![selective(0.014, DEMO)]), Confirmed);
    assert_eq!(answer(name, vec![selective(0.008, 1 << 30)]), ConfirmedUnderConditions);
    assert_eq!(answer(name, vec![selective(0.05, DEMO)]), Refuted);
    assert_eq!(answer(name, vec![example::trial("sqlite-dump", Restorable)]), NotTested);
}

#[test]
fn a_large_database_under_load_requires_both() {
    let name = "Open: large databases under load";
    let trial = |verdict| sized(example::trial("one-step", verdict), DEMO);
    assert_eq!(answer(name, vec![trial(Restorable), trial(Stalled)]), Confirmed);
    assert_eq!(answer(name, vec![trial(Stalled)]), Refuted);
    assert_eq!(answer(name, vec![example::trial("one-step", Restorable)]), NotTested);
    let mut quiet = trial(Restorable);
    quiet.workload.writes_per_second = Some(0.0);
    assert_eq!(answer(name, vec![quiet]), NotTested);
}

#[test]
fn verification_must_pass_correct_databases_and_find_damaged_ones() {
    let name = "Open: automatic verification";
    let mut control = example::trial("hot-copy", Corrupt);
    control.control = true;
    let right = example::trial("one-step", Restorable);
    assert_eq!(answer(name, vec![right.clone(), control.clone()]), Confirmed);
    assert_eq!(answer(name, vec![right]), NotTested);
    assert_eq!(answer(name, vec![control]), NotTested);
}
