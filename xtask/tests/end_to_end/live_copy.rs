//! A copy of live SQLite files while a read transaction is held, under what makes it fail when it is not done right.

use reports::record::Verdict;

use super::*;

#[test]
fn the_shipped_scenario_exposes_a_copy_of_the_header_first_and_never_the_right_way() {
    let place = Place::new();
    let only = ["--only", "right", "--only", "header first", "--repetitions", "6"];
    let output = place.run(&[&["run", "live-copy"], &only[..]].concat());
    let results = place.results();
    let of = |name: &str| {
        let trials = results.trials.iter().filter(|trial| trial.variant == name);
        let verdicts: Vec<Verdict> = trials.map(|trial| trial.verdict).collect();
        assert_eq!(verdicts.len(), 6, "{}", text(&output));
        verdicts
    };
    for name in ["right", "right, folded into one file"] {
        assert_eq!(of(name), [Verdict::Restorable; 6], "{name}: {}", text(&output));
    }
    let exposed = of("the log's header first").into_iter().filter(|verdict| *verdict != Verdict::Restorable);
    assert!(exposed.count() > 0, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        let said = trial.backup.as_ref().unwrap().output.as_deref().unwrap();
        assert_eq!(said.contains("folded the log"), trial.settings["fold"] == true, "{said}");
    }
    place.assert_clean();
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
