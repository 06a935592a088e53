//! However a run ends, nothing is left behind, and completed measurements are kept.

use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

const LONG: &str = r#"
    [[variants]]
    strategy = "cold-copy"
    [[variants]]
    name = "waits for a file"
    strategy = "external"
    [variants.settings]
    backup = '''
        touch "$DRILL_DESTINATION/begun"
        until [ -e go-on ]; do sleep 0.05; done
        sqlite3 "$DRILL_SOURCE" ".timeout 10000" "VACUUM INTO '$DRILL_DESTINATION/copy'"
    '''
    restore = 'cp "$DRILL_ARTIFACT/copy" "$DRILL_TARGET"'
"#;

/// Starts a run and waits until the second trial is in its backup.
fn started(place: &Place) -> Child {
    started_until(place, &place.scenario(SMALL, LONG), "trial-2/artifact/begun")
}

/// Starts a run and waits until a file exists.
pub fn started_until(place: &Place, scenario: &Path, file: &str) -> Child {
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    let is_that_far = || {
        let work = std::fs::read_dir(place.path().join("work")).into_iter().flatten().flatten();
        work.map(|run| run.path().join(file)).any(|artifact| artifact.exists())
    };
    while !is_that_far() {
        assert!(
            Instant::now() < give_up && child.try_wait().unwrap().is_none(),
            "the run did not get that far"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

pub fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn an_interrupted_run_cleans_up_at_once_and_can_be_resumed() {
    let place = Place::shared();
    let mut child = started(&place);
    assert!(place.processes() >= 2, "an application and a backup run");
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    place.assert_clean();
    let kept = place.results();
    assert_eq!((kept.trials.len(), kept.run.planned_trials), (1, 2));

    std::fs::write(place.path().join("go-on"), "").unwrap();
    let scenario = place.path().join("small.toml");
    let output = place.run(&["run", scenario.to_str().unwrap(), "--resume"]);
    let results = place.results();
    assert_eq!(results.trials.len(), 2, "{}", text(&output));
    assert_eq!(results.trials[0], kept.trials[0]);
    place.assert_clean();
}

#[test]
fn leftovers_of_a_killed_run_are_found_and_removed() {
    let place = Place::shared();
    let mut child = started(&place);
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let give_up = Instant::now() + Duration::from_secs(10);
    while place.processes() > 0 {
        assert!(Instant::now() < give_up, "the children outlive their harness");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(std::fs::read_dir(place.path().join("work")).unwrap().count() > 1, "there is something to clean");
    let output = place.run(&["clean"]);
    assert!(text(&output).contains("cleaned up after 1 killed run(s)"), "{}", text(&output));
    place.assert_clean();
    assert_eq!(place.results().trials.len(), 1);
}

/// How often the run is killed; a larger number can be asked for.
fn kills() -> u64 {
    std::env::var("BACKUP_DRILL_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(10)
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_nothing_that_the_next_start_does_not_clean() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = \"cold-copy\"\n[[variants]]\nstrategy = \"sqlite-dump\"\n";
    let faults = "faults = [\"none\", \"destination-full\"]";
    let scenario = place.scenario(&format!("{faults}\n{SMALL}"), variants);
    let mut records = 0;
    for number in 0..kills() {
        let mut command = place.command(&["run", scenario.to_str().unwrap()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // A whole run takes a few seconds; the moments are spread over it by the golden ratio.
        let moment = 12.0 * (number as f64 * 0.618_033_988_749_895).fract();
        let give_up = Instant::now() + Duration::from_secs_f64(moment);
        while Instant::now() < give_up && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if child.try_wait().unwrap().is_none() {
            signal(&child, Signal::SIGKILL);
        }
        child.wait().unwrap();
        let output = place.run(&["clean"]);
        assert_eq!(output.status.code(), Some(0), "kill {number}: {}", text(&output));
        place.assert_clean();
        // What was saved before the kill can be read.
        if place.path().join("latest/results.json").exists() {
            records += place.results().trials.len();
        }
    }
    assert!(records > 0, "no kill came late enough for a record");
}

#[test]
fn resuming_another_plan_is_refused() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let scenario = scenario.to_str().unwrap();
    assert_eq!(place.run(&["run", scenario]).status.code(), Some(0));
    let output = place.run(&["run", scenario, "--resume", "--seed", "9"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("contains a run of another plan"), "{}", text(&output));
    // Everything has a record already: nothing is repeated.
    let before = place.results();
    assert_eq!(place.run(&["run", scenario, "--resume"]).status.code(), Some(0));
    assert_eq!(place.results().trials, before.trials);
}

#[test]
fn a_run_is_not_gone_on_with_under_other_conditions() {
    let place = Place::shared();
    let script = place.path().join("backup.sh");
    let copy = "sqlite3 \"$DRILL_SOURCE\" \".timeout 10000\" \"VACUUM INTO '$DRILL_DESTINATION/copy'\"\n";
    std::fs::write(&script, copy).unwrap();
    let variants = r#"
        [[variants]]
        name = "script"
        strategy = "external"
        settings = { backup = "sh ./backup.sh", restore = 'cp "$DRILL_ARTIFACT/copy" "$DRILL_TARGET"', requires = "cat /proc/self/cwd/VERSION" }
    "#;
    let version = place.path().join("VERSION");
    std::fs::write(&version, "1.0").unwrap();
    let scenario = place.scenario(SMALL, variants);
    let scenario = scenario.to_str().unwrap();
    let output = place.run(&["run", scenario]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let before = place.results();
    let refused = |flags: &[&str], expected: &[&str]| {
        let output = place.run(&[&["run", scenario, "--resume"], flags].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in expected {
            assert!(said.contains(part), "'{part}' is not in: {said}");
        }
        assert_eq!(place.results(), before);
    };
    refused(&["--deadline", "1"], &["trial.deadline_seconds was 60.0 and is 1.0"]);

    let text_then = std::fs::read_to_string(scenario).unwrap();
    let subject = "[subject]\nsynchronous = \"off\"\n[trial]";
    let changed = text_then.replace("[trial]", subject).replace("sh ./backup.sh", "sh -e ./backup.sh");
    std::fs::write(scenario, changed).unwrap();
    let settings = "settings of 'external:script/wal/4MiB/40/1': backup was \"sh ./backup.sh\" and is \"sh -e ./backup.sh\"";
    refused(&[], &["subject.synchronous was \"full\" and is \"off\"", settings]);

    // The script's content counts only for the remaining trials; without more repetitions there are none.
    std::fs::write(scenario, text_then).unwrap();
    std::fs::write(&script, format!("{copy}true\n")).unwrap();
    refused(&["--repetitions", "2"], &["version of file ./backup.sh was"]);
    std::fs::write(&script, copy).unwrap();
    // So does the version that the scenario's own requirement prints.
    std::fs::write(&version, "1.1").unwrap();
    refused(&["--repetitions", "2"], &["version of external was '1.0' and is '1.1'"]);
    std::fs::write(&version, "1.0").unwrap();
    let output = place.run(&["run", scenario, "--resume", "--repetitions", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(place.results().trials.len(), 2);

    // The record of an older version does not contain its conditions.
    let file = place.path().join("latest/results.json");
    let mut older = place.results();
    older.run.conditions.clear();
    std::fs::write(&file, serde_json::to_vec(&older).unwrap()).unwrap();
    let output = place.run(&["run", scenario, "--resume", "--repetitions", "3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("did not record its conditions"), "{}", text(&output));
    place.assert_clean();
}

#[test]
fn the_same_seed_plans_the_same_run_and_the_report_can_be_rendered_again() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"sqlite-vacuum-into\"\n");
    let scenario = scenario.to_str().unwrap();
    let out = place.path().join("results");
    let output = place.run(&["run", scenario, "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let last: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    let files = ["report.md", "report.html", "results.json"].map(|name| out.join(name).display().to_string());
    assert_eq!(last[last.len() - 4], "seed 1");
    assert_eq!(last[last.len() - 3..], files);
    let report = std::fs::read(out.join("report.md")).unwrap();
    std::fs::remove_file(out.join("report.md")).unwrap();
    assert_eq!(place.run(&["report", out.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(std::fs::read(out.join("report.md")).unwrap(), report);
    assert!(place.path().join("latest/results.json").exists());
}
