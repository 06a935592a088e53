//! A copy of live SQLite files while a read transaction is held, under what makes it fail when it is not done right.

use reports::record::Verdict;

use super::*;

/// Runs a shipped scenario: the right ways are restorable each time, and the control is found.
fn right_and_control(scenario: &str, control: &str) {
    let place = Place::shared();
    let output = place.run(&["run", scenario, "--only", "right", "--only", control, "--repetitions", "3"]);
    let results = place.results();
    let of = |name: &str| {
        let trials = results.trials.iter().filter(|trial| trial.variant == name);
        let verdicts: Vec<Verdict> = trials.map(|trial| trial.verdict).collect();
        assert_eq!(verdicts.len(), 3, "{}", text(&output));
        verdicts
    };
    for name in ["right", "right, folded into one file"] {
        assert_eq!(of(name), [Verdict::Restorable; 3], "{name}: {}", text(&output));
    }
    let exposed = of(control).into_iter().filter(|verdict| *verdict != Verdict::Restorable);
    assert!(exposed.count() > 0, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        let said = trial.backup.as_ref().unwrap().output.as_deref().unwrap();
        assert_eq!(said.contains("folded the log"), trial.settings["fold"] == true, "{said}");
    }
    place.assert_clean();
}

#[test]
fn a_copy_of_the_header_first_is_exposed_and_the_right_way_never_fails() {
    right_and_control("live-copy", "the log's header first");
}

#[test]
fn a_copy_without_a_transaction_is_exposed_and_the_right_way_never_fails() {
    right_and_control("live-copy-checkpoints", "no transaction");
}

#[test]
fn every_method_and_queue_depth_restores_in_both_journal_modes() {
    let place = Place::shared();
    let variants = r#"
        [[variants]]
        strategy = "sqlite-live-copy"
        settings = { method = "copy-file-range" }
        [[variants]]
        strategy = "sqlite-live-copy"
        settings = { queue_depth = 8, chunk_kib = 4 }
        [[variants]]
        strategy = "sqlite-live-copy"
        settings = { method = "reflink" }
        file_systems = ["btrfs"]
    "#;
    let subject = "[subject]\njournal_modes = [\"wal\", \"delete\"]\nfile_systems = [\"disk\", \"btrfs\"]\n";
    let output = place.run_scenario(&place.scenario(&format!("{subject}{SMALL}"), variants));
    let results = place.results();
    assert_eq!(results.trials.len(), 10, "{}", text(&output));
    for trial in &results.trials {
        every_strategy::assert_restored(trial);
    }
    place.assert_clean();
}
