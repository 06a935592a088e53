use super::super::{Answer, Answer::*, CLAIMS, Finding, assess};
use crate::example;
use crate::record::Trial;
use crate::record::Verdict::{self, *};

/// The finding of the trials for the claim with this name.
fn finding(name: &str, trials: Vec<Trial>) -> Finding {
    let runs = [example::results(trials)];
    let at = CLAIMS.iter().position(|claim| claim.name == name).unwrap();
    assess(&runs).swap_remove(at).finding
}

fn answer(name: &str, trials: Vec<Trial>) -> Answer {
    finding(name, trials).answer
}

/// An online backup with this number of pages per step, in WAL mode, at 20 commits per second.
fn online(pages: i64, pinned: bool, verdict: Verdict, restarts: u64) -> Trial {
    let mut trial = example::restarting("sqlite-online-backup", verdict, restarts);
    trial.settings = [("step_pages".into(), pages.into()), ("pinned".into(), pinned.into())].into();
    trial
}

/// `.backup` at this rate, with this duration in seconds and passes of 0.5 s.
fn shell(rate: f64, verdict: Verdict, elapsed: f64) -> Trial {
    let mut trial = example::restarting("sqlite-cli-backup", verdict, 0);
    trial.settings = [("timeout_ms".into(), 0.into())].into();
    trial.workload.writes_per_second = Some(rate);
    let backup = trial.backup.as_mut().unwrap();
    backup.restarts = None;
    backup.commits_per_second = Some(rate);
    backup.elapsed_seconds = elapsed;
    backup.seconds = backup.seconds.map(|_| elapsed);
    backup.bytes_written = Some((elapsed / 0.5 * trial.dataset.bytes as f64) as u64);
    trial
}

fn sized(mut trial: Trial, bytes: u64) -> Trial {
    trial.dataset.target_bytes = bytes;
    trial
}

#[test]
fn a_stepping_backup_restarts() {
    let name = "A stepping backup restarts";
    let steady = online(100, false, Restorable, 0);
    assert_eq!(answer(name, vec![online(100, false, Stalled, 240), shell(20.0, Stalled, 20.0)]), Confirmed);
    assert_eq!(answer(name, vec![steady.clone()]), Refuted);
    assert_eq!(answer(name, vec![steady.clone(), online(100, false, Stalled, 9)]), ConfirmedUnderConditions);
    let mut quiet = steady;
    quiet.backup.as_mut().unwrap().commits_per_second = Some(0.0);
    assert_eq!(answer(name, vec![quiet, online(-1, false, Restorable, 0)]), NotTested);
}

#[test]
fn the_claim_about_the_demo_database_requires_a_database_of_its_size() {
    let name = "The 17 GB demo database";
    assert_eq!(answer(name, vec![sized(shell(50.0, Stalled, 20.0), 17_604_431_872)]), Confirmed);
    assert_eq!(answer(name, vec![sized(shell(50.0, Restorable, 20.0), 17_604_431_872)]), Refuted);
    assert_eq!(answer(name, vec![shell(50.0, Stalled, 20.0)]), NotTested);
}

#[test]
fn the_restart_model_requires_an_average_over_several_backups() {
    let name = "The restart model";
    // At 4 commits per second and a pass of 0.5 s, the model predicts 1.6 s.
    let all = |elapsed, count| vec![shell(4.0, Restorable, elapsed); count];
    assert_eq!(answer(name, all(1.7, 8)), Confirmed);
    assert_eq!(answer(name, all(5.0, 8)), Refuted);
    assert_eq!(answer(name, all(0.5, 8)), Refuted);
    assert_eq!(answer(name, all(1.7, 7)), NotTested);
    // A backup that was ended early counts with the time that it ran.
    let mut ended = all(1.0, 8);
    ended.extend(vec![shell(4.0, Stalled, 10.0); 4]);
    assert_eq!(answer(name, ended), Refuted);
}

#[test]
fn all_rates_of_300_mb_are_needed_at_a_comparable_pass() {
    let name = "300 MB at 1, 4 and 20 writes per second";
    let at = |bytes, fast| {
        let trials = [shell(1.0, Restorable, 0.5), shell(4.0, Restorable, 2.5), shell(20.0, fast, 20.0)];
        trials.map(|trial| sized(trial, bytes)).to_vec()
    };
    assert_eq!(answer(name, at(300_000_000, Stalled)), Confirmed);
    assert_eq!(answer(name, at(300_000_000, Restorable)), Refuted);
    let both = [at(300_000_000, Restorable), at(600_000_000, Stalled)].concat();
    assert_eq!(answer(name, both), ConfirmedUnderConditions);
    assert_eq!(answer(name, at(300_000_000, Stalled)[..2].to_vec()), NotTested);
    let mut slow_disk = at(300_000_000, Stalled);
    for trial in &mut slow_disk {
        trial.backup.as_mut().unwrap().pass_seconds = Some(1.5);
    }
    let finding = finding(name, slow_disk);
    assert_eq!(finding.answer, NotTested);
    assert_eq!(finding.measured, "300 MB: not comparable, a pass took 1.50 s.");
}

#[test]
fn a_backup_in_one_transaction_never_restarts() {
    for (name, pages, pinned) in
        [("One step for all pages", -1, false), ("A pinned read transaction", 100, true)]
    {
        let good = online(pages, pinned, Restorable, 0);
        let mut quiet = good.clone();
        quiet.backup.as_mut().unwrap().commits_per_second = None;
        assert_eq!(answer(name, vec![good.clone(), quiet.clone()]), Confirmed);
        assert_eq!(answer(name, vec![good.clone(), online(pages, pinned, Restorable, 1)]), Refuted);
        assert_eq!(answer(name, vec![good, online(pages, pinned, Corrupt, 0)]), Refuted);
        assert_eq!(answer(name, vec![quiet]), NotTested);
        assert_eq!(answer(name, vec![online(100, false, Restorable, 0)]), NotTested);
    }
}

#[test]
fn a_hundred_gigabytes_are_not_extrapolated() {
    let name = "A live database of 100 GB in minutes";
    let took = |seconds| {
        let mut trial = sized(online(-1, false, Restorable, 0), 100_000_000_000);
        trial.backup.as_mut().unwrap().seconds = Some(seconds);
        trial
    };
    assert_eq!(answer(name, vec![took(270.0)]), Confirmed);
    assert_eq!(answer(name, vec![took(2700.0)]), Refuted);
    assert_eq!(answer(name, vec![sized(took(3.0), 1_000_000_000)]), NotTested);
}

#[test]
fn delete_mode_fails_with_a_lock_unless_there_is_a_timeout() {
    let in_delete = |timeout: i64, verdict, output: &str| {
        let mut trial = shell(50.0, verdict, 0.01);
        trial.settings = [("timeout_ms".into(), timeout.into())].into();
        trial.workload.journal_mode = Some("delete".into());
        trial.backup.as_mut().unwrap().output = Some(output.into());
        trial
    };
    let locked = "Error: database is locked";
    let name = "Delete mode: database is locked";
    assert_eq!(answer(name, vec![in_delete(0, Failed, locked)]), Confirmed);
    assert_eq!(answer(name, vec![in_delete(0, Restorable, "")]), Refuted);
    assert_eq!(answer(name, vec![in_delete(0, Failed, "Error: disk is full")]), Refuted);
    assert_eq!(answer(name, vec![in_delete(10_000, Failed, locked), shell(50.0, Stalled, 20.0)]), NotTested);
    let name = "Delete mode: a timeout helps";
    assert_eq!(answer(name, vec![in_delete(10_000, Stalled, "")]), Confirmed);
    assert_eq!(answer(name, vec![in_delete(10_000, Failed, locked)]), Refuted);
    let mut late = in_delete(10_000, Failed, locked);
    late.backup.as_mut().unwrap().elapsed_seconds = 10.4;
    assert_eq!(answer(name, vec![late.clone()]), ConfirmedUnderConditions);
    assert_eq!(answer(name, vec![in_delete(0, Failed, locked)]), NotTested);
    late.settings = [("timeout_ms".into(), 0.into())].into();
    assert_eq!(answer("Delete mode: database is locked", vec![late]), Refuted);
}
