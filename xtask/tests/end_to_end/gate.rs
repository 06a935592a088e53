//! The gate through the command line: baselines, thresholds, alternating pairs, shards, and the files that it writes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use reports::record::Results;

use super::{Place, SMALL, text};

const COLD: &str = "[[variants]]\nstrategy = \"cold-copy\"\n";

fn command(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    command.args(words).stdin(Stdio::null()).env_remove("GITHUB_STEP_SUMMARY").output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {}", text(output)))
}

/// A published run with six repetitions (its five, and one of them a second time), with all backup times multiplied by
/// `slowdown`.
fn published(directory: &Path, name: &str, slowdown: f64) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut results = Results::load(&root.join("reports/published/cold-copy-1GiB/results.json")).unwrap();
    let mut sixth = results.trials[0].clone();
    let subject = sixth.id.trim_end_matches(&format!("/{}", sixth.repetition)).to_owned();
    (sixth.id, sixth.repetition) = (format!("{subject}/6"), 6);
    results.trials.push(sixth);
    for trial in &mut results.trials {
        let backup = trial.backup.as_mut().unwrap();
        backup.seconds = backup.seconds.map(|seconds| seconds * slowdown);
    }
    let file = directory.join(format!("{name}.json"));
    std::fs::write(&file, serde_json::to_string(&results).unwrap()).unwrap();
    file
}

#[test]
fn a_slower_run_regresses_and_the_outcome_goes_to_files_and_to_the_summary() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let baseline = published(directory.path(), "baseline", 1.0).display().to_string();
    let slower = published(directory.path(), "slower", 1.5).display().to_string();
    let same = command(&["compare", &baseline, &baseline]);
    assert_eq!(code(&same), 0, "{}", text(&same));

    let (junit, benchmark, metrics, summary) =
        (path("junit.xml"), path("benchmark.json"), path("metrics.txt"), path("summary.md"));
    std::fs::write(&summary, "before\n").unwrap();
    let mut compare = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    compare.args(["compare", &baseline, &slower, "--junit", &junit, "--benchmark-json", &benchmark]);
    let output =
        compare.args(["--openmetrics", &metrics]).env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    assert_eq!(code(&output), 1, "{}", text(&output));
    assert!(text(&output).contains("1 regressed"), "{}", text(&output));
    let read = |file: &str| std::fs::read_to_string(file).unwrap();
    assert!(read(&junit).contains("failures=\"1\"") && read(&metrics).ends_with("# EOF\n"));
    let entries: serde_json::Value = serde_json::from_str(&read(&benchmark)).unwrap();
    let value = entries[0]["value"].as_f64().unwrap();
    assert!(entries[0]["unit"] == "x plain copy" && value > 1.2, "{entries}");
    let summary = read(&summary);
    assert!(summary.starts_with("before\n## Backup Drill") && summary.contains("**Something regressed.**"));
    // Differences between runs of the same version are noise.
    let informed = command(&["compare", &baseline, &slower, "--same", &slower]);
    assert_eq!(code(&informed), 0, "{}", text(&informed));
}

#[test]
fn too_few_pairs_are_inconclusive_and_fail_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let file = published(directory.path(), "one", 1.0);
    let mut results = Results::load(&file).unwrap();
    results.trials.truncate(1);
    std::fs::write(&file, serde_json::to_string(&results).unwrap()).unwrap();
    let file = file.display().to_string();
    let output = command(&["compare", &file, &file]);
    assert_eq!(code(&output), 0);
    assert!(text(&output).contains("6 are needed to tell a change from chance"), "{}", text(&output));
    assert_eq!(code(&command(&["compare", &file, &file, "--fail-on", "inconclusive"])), 3);
    assert_eq!(code(&command(&["compare", &file])), 2, "its scenario names no pairs");
    assert_eq!(code(&command(&["compare", &file, "/no/such/run"])), 2);
}

#[test]
fn a_broken_threshold_fails_a_run_and_a_baseline_is_compared_at_its_end() {
    let place = Place::shared();
    let limits = "[thresholds]\nrecovery_seconds = \"< 60\"\n";
    let scenario = place.scenario(&format!("{limits}{SMALL}"), COLD);
    let kept = place.run_scenario(&scenario);
    assert_eq!(code(&kept), 0, "{}", text(&kept));
    let baseline = place.path().join("latest").canonicalize().unwrap();
    let broken = place.scenario(&format!("{}{SMALL}", limits.replace("< 60", "> 60")), COLD);
    let words = ["run", broken.to_str().unwrap(), "--baseline", baseline.to_str().unwrap()];
    let output = place.run(&words);
    assert_eq!(code(&output), 1, "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("breaks the threshold recovery_seconds > 60"), "{said}");
    assert!(said.contains("against the baseline small-"), "{said}");
    let other = place.run(&["run", "quick", "--only", "cold-copy", "--baseline", baseline.to_str().unwrap()]);
    assert_eq!(code(&other), 2, "{}", text(&other));
    place.assert_clean();
}

#[test]
fn pairs_alternate_and_shards_give_the_report_of_one_run() {
    let place = Place::shared();
    let variants = format!(
        "{COLD}[[variants]]\nname = \"again\"\nstrategy = \"cold-copy\"\n[[variants]]\nname = \"alone\"\n\
         strategy = \"cold-copy\"\n[[pairs]]\na = \"cold-copy\"\nb = \"again\"\n"
    );
    let scenario = place.scenario(&format!("repetitions = 2\n{SMALL}"), &variants);
    let out = |name: &str| place.path().join(name).display().to_string();
    let shard = |shard: &str, name: &str| {
        let output = place.run(&["run", scenario.to_str().unwrap(), "--shard", shard, "--out", &out(name)]);
        assert_eq!(code(&output), 0, "{}", text(&output));
        text(&output)
    };
    assert!(shard("1/2", "one").contains("pairs within"));
    shard("2/2", "two");
    let half = command(&["report", "--merge", &out("one"), "--out", &out("half")]);
    assert_eq!(code(&half), 3, "{}", text(&half));
    assert!(text(&half).contains("missing shards: 2; 4 of 6 trials"), "{}", text(&half));
    let whole = command(&["report", "--merge", &out("two"), &out("one"), "--out", &out("whole")]);
    assert_eq!(code(&whole), 0, "{}", text(&whole));
    let results = Results::load(&place.path().join("whole/results.json")).unwrap();
    let variants: Vec<(&str, u32)> =
        results.trials.iter().map(|trial| (trial.variant.as_str(), trial.repetition)).collect();
    assert_eq!(variants, [("", 1), ("again", 1), ("again", 2), ("", 2), ("alone", 1), ("alone", 2)]);
    assert_eq!((results.run.planned_trials, results.run.shard), (6, None));
    assert!(place.path().join("whole/report.md").is_file());
    let pairs = command(&["compare", &out("whole")]);
    assert_eq!(code(&pairs), 0, "{}", text(&pairs));
    let twice = command(&["report", "--merge", &out("one"), &out("one"), "--out", &out("again")]);
    assert_eq!(code(&twice), 2, "{}", text(&twice));
    place.assert_clean();
}

#[test]
fn the_action_tests_the_script_of_another_repository() {
    let place = Place::shared();
    let repository = place.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/put-on-trial.sh");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/backup.sh");
    std::fs::copy(examples, repository.join("backup.sh")).unwrap();
    let run = |backup: &str| {
        let inputs = [
            ("BACKUP", backup),
            ("RESTORE", "./backup.sh restore"),
            ("SCENARIO", ""),
            ("SIZE", "4MiB"),
            ("REPETITIONS", "1"),
            ("BASELINE", ""),
            ("FAIL_ON_INCONCLUSIVE", "false"),
            ("PROGRAM", env!("CARGO_BIN_EXE_backup-drill")),
        ];
        let mut command = Command::new(&script);
        command.envs(inputs).env("RUNNER_TEMP", place.path().join(backup.replace(['.', '/', ' '], "")));
        command.env("GITHUB_OUTPUT", place.path().join("output"));
        command.env_remove("GITHUB_STEP_SUMMARY").current_dir(&repository).output().unwrap()
    };
    let good = run("./backup.sh backup");
    assert_eq!(code(&good), 0, "{}", text(&good));
    assert!(!repository.join("backup-drill-trial.toml").exists());
    let results = place.path().join("backupshbackup/backup-drill-results");
    assert!(results.join("junit.xml").is_file() && results.join("report.md").is_file());
    assert_eq!(code(&run("false")), 1, "a script that fails");
    assert_eq!(code(&run("")), 2, "no script");
}

#[test]
fn regressed_trials_are_measured_again_below_the_run() {
    let place = Place::shared();
    let scenario = place.scenario(&format!("repetitions = 6\n{SMALL}"), COLD);
    assert_eq!(code(&place.run_scenario(&scenario)), 0);
    let mut faster = place.results();
    for trial in &mut faster.trials {
        let backup = trial.backup.as_mut().unwrap();
        backup.seconds = backup.seconds.map(|seconds| seconds / 50.0);
    }
    let baseline = place.path().join("faster.json");
    std::fs::write(&baseline, serde_json::to_string(&faster).unwrap()).unwrap();
    let words = ["run", scenario.to_str().unwrap(), "--baseline", baseline.to_str().unwrap(), "--confirm"];
    let output = place.run(&words);
    let said = text(&output);
    assert_eq!(code(&output), 1, "{said}");
    assert!(
        said.contains("measuring 6 trial(s) again") && said.contains("confirmed by a second measurement"),
        "{said}"
    );
    let latest = place.path().join("latest").canonicalize().unwrap();
    let again = Results::load(&latest.join("confirm-1/results.json")).unwrap();
    assert_eq!((again.trials.len(), place.results().trials.len()), (6, 6));
    place.assert_clean();
}

#[test]
fn the_error_rates_are_measured_on_recorded_and_on_live_runs() {
    let place = Place::shared();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let published = root.join("reports/published/cold-copy-1GiB").display().to_string();
    let out = place.path().join("rates.md").display().to_string();
    let words =
        ["prove", "gate", "--recorded", &published, "--comparisons", "20", "--live", "1", "--slower", "50"];
    let output = place.run(&[&words[..], &["--pairs", "2", "--size", "4MiB", "--out", &out]].concat());
    assert_eq!(code(&output), 0, "{}", text(&output));
    let written = std::fs::read_to_string(&out).unwrap();
    assert!(written.contains("| none (A/A) | 20 |") && written.contains("| 50 % | 1 |"), "{written}");
    assert_eq!(code(&place.run(&["prove", "gate"])), 2, "there is nothing to measure");
    place.assert_clean();
}
