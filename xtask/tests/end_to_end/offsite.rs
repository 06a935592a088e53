//! Artifacts that leave the machine come back from the destination alone.

use reports::record::{Offsite, Verdict};

use super::*;

/// Runs these lists of stages on a small database in WAL mode.
fn run(place: &Place, stages: &str, variants: &str) -> Results {
    let top = format!("stages = [{stages}]\n{SMALL}");
    let output = place.run_scenario(&place.scenario(&top, variants));
    let results = place.results();
    assert!(!results.trials.is_empty(), "{}", text(&output));
    results
}

fn offsite(trial: &Trial) -> &Offsite {
    trial.offsite.as_ref().unwrap_or_else(|| panic!("{}: it has no stages: {}", trial.id, trial.reason))
}

/// The stages that ran, with a hyphen before those on the way back.
fn names(trial: &Trial) -> Vec<String> {
    let stages = offsite(trial).stages.iter();
    stages.map(|stage| format!("{}{}", if stage.is_back { "-" } else { "" }, stage.name)).collect()
}

#[test]
fn an_artifact_comes_back_from_the_destination_alone() {
    let place = Place::shared();
    let variants =
        "[[variants]]\nstrategy = \"sqlite-live-copy\"\n[[variants]]\nstrategy = \"sqlite-dump\"\n";
    let results = run(&place, r#"[], ["zstd", "age", "directory"], ["gzip", "directory"]"#, variants);
    assert_eq!(results.trials.len(), 6);
    for trial in &results.trials {
        if trial.verdict == Verdict::Unavailable {
            continue;
        }
        assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.id, trial.reason);
        let phases: Vec<&str> = trial.phases.iter().map(|start| start.phase.as_str()).collect();
        assert_eq!(phases.contains(&"publish") && phases.contains(&"fetch"), trial.offsite.is_some());
        if trial.offsite.is_none() {
            continue;
        }
        let expected: &[&str] = if trial.id.contains("age") {
            &["pack", "zstd", "age", "directory", "-directory", "-age", "-zstd", "-pack"]
        } else {
            &["pack", "gzip", "directory", "-directory", "-gzip", "-pack"]
        };
        assert_eq!(names(trial), expected, "{}", trial.id);
        let offsite = offsite(trial);
        assert!(offsite.object_bytes.is_some_and(|bytes| bytes > 0));
        assert!(offsite.stages.iter().all(|stage| stage.cpu_seconds.is_some() && stage.seconds > 0.0));
        let recovery = trial.restore.as_ref().unwrap().recovery_seconds.unwrap();
        assert!(recovery > offsite.seconds(true).unwrap(), "the way back is a part of the recovery");
    }
    place.assert_clean();
}

#[test]
fn every_destination_gives_back_what_it_was_given() {
    let place = Place::shared();
    let stages = r#"["zstd", "s3"], ["age", { stage = "s3", server = "moto" }], ["zstd", "sftp"], ["rsync"]"#;
    let results = run(&place, stages, "[[variants]]\nstrategy = \"sqlite-vacuum-into\"\n");
    assert_eq!(results.trials.len(), 4);
    for trial in &results.trials {
        assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.id, trial.reason);
        let offsite = offsite(trial);
        if trial.id.contains("s3") {
            // The object and the manifest.
            assert!(offsite.requests(false).is_some_and(|requests| requests >= 2), "{}", trial.id);
        }
        // Where the server is, and its key, are of this trial only.
        let record = serde_json::to_string(&trial).unwrap();
        assert!(!record.contains("127.0.0.1") && !record.contains("credentials"), "{record}");
    }
    place.assert_clean();
}

#[test]
fn nothing_stays_in_a_place_of_the_users_own() {
    let place = Place::shared();
    let own = place.path().canonicalize().unwrap().join("own");
    std::fs::create_dir(&own).unwrap();
    let stages = format!("[\"zstd\", {{ stage = \"directory\", path = \"{}\" }}]", own.display());
    let results = run(&place, &stages, "[[variants]]\nstrategy = \"cold-copy\"\n");
    assert_eq!(results.trials[0].verdict, Verdict::Restorable, "{}", results.trials[0].reason);
    let left: Vec<_> = std::fs::read_dir(&own).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    // The path is not in the id of the trial. The run was of that place and is not gone on with at another one.
    let scenario = place.path().join("small.toml");
    let other = std::fs::read_to_string(&scenario).unwrap().replace("/own\"", "/other\"");
    std::fs::write(&scenario, other).unwrap();
    let output = place.run(&["run", scenario.to_str().unwrap(), "--resume"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("directory of path was "), "{}", text(&output));
    place.assert_clean();
}

#[test]
fn what_cannot_leave_is_not_planned_and_a_place_that_refuses_fails_the_trial() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = \"cold-copy\"\n[[variants]]\nstrategy = \"litestream\"\n";
    let nowhere = place.path().canonicalize().unwrap().join("nowhere");
    let stages = format!("[{{ stage = \"directory\", path = \"{}\" }}]", nowhere.display());
    let results = run(&place, &stages, variants);
    let [trial] = &results.trials[..] else { panic!("{:?}", results.trials.len()) };
    assert_eq!(trial.verdict, Verdict::Failed, "{}", trial.reason);
    assert!(trial.reason.contains("publishing failed"), "{}", trial.reason);
    assert_eq!(names(trial), ["pack"]);
    place.assert_clean();
}
