//! Each bad input gives one clear error with the place, the cause and the remedy, before anything has an effect.

use super::*;

const COLD: &str = "[[variants]]\nstrategy = \"cold-copy\"\n";

/// The error output of a refused command, with the test's own directory replaced.
fn refusal(place: &Place, words: &[&str], code: i32) -> String {
    let output = place.run(words);
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    assert!(!place.path().join("latest").exists(), "a refused run has no effect");
    let canonical = place.path().canonicalize().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).replace(&canonical.display().to_string(), "PLACE");
    said.replace(&place.path().display().to_string(), "PLACE")
}

fn refused_scenario(scenario: &str, variants: &str) -> String {
    let place = Place::shared();
    let path = place.scenario(scenario, variants);
    refusal(&place, &["run", path.to_str().unwrap()], 2)
}

#[test]
fn an_unknown_scenario() {
    let said = refusal(&Place::shared(), &["run", "quik"], 2);
    // The list of scenarios grows.
    assert!(
        said.starts_with("error: unknown scenario 'quik' (did you mean 'quick'?): expected one of "),
        "{said}"
    );
}

#[test]
fn a_missing_scenario_file() {
    let said = refusal(&Place::shared(), &["run", "mine/none.toml"], 2);
    assert!(
        said.starts_with("error: file not found: mine/none.toml; give the path of a scenario file, or "),
        "{said}"
    );
}

#[test]
fn a_plan_ends_silently_when_its_reader_closes_the_pipe() {
    let mut plan = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    let mut plan = plan.args(["plan", "full"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(plan.stdout.take());
    let ended = plan.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn an_unknown_scenario_key() {
    insta::assert_snapshot!(refused_scenario(&SMALL.replace("rates", "rate"), COLD));
}

#[test]
fn a_path_that_is_not_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::shared();
    let named = place.path().join(OsStr::from_bytes(b"caf\xe9"));
    for flag in ["--out", "--database", "--dir"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
        let output = command.args(["run", "quick", flag]).arg(&named).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).replace(&place.path().display().to_string(), "PLACE");
        assert_eq!(said, "error: the path 'PLACE/caf\u{fffd}' is not UTF-8: rename it, or choose another\n");
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!named.exists(), "a refused run has no effect");
    // A path that is valid UTF-8 may still lead there.
    std::fs::create_dir(&named).unwrap();
    std::os::unix::fs::symlink(&named, place.path().join("link")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    let output = command.args(["clean", "--dir", "link"]).current_dir(place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    let output = command.args(["clean", "--dir", "below"]).current_dir(&named).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(std::fs::read_dir(&named).unwrap().count(), 0, "a refused run has no effect");
}

#[test]
fn an_option_that_no_server_of_a_trial_can_have() {
    let on = |options| format!("[subject]\nengines = [\"mysql\"]\nmysql_options = {{ {options} }}\n{SMALL}");
    let said = ["innodb_undo_directory = \"/undo\"", "log_bin = [1]"]
        .map(|options| refused_scenario(&on(options), "[[variants]]\nstrategy = \"mysql-clone\"\n"));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn an_unknown_strategy() {
    let said = refused_scenario(SMALL, "[[variants]]\nstrategy = \"cold-cp\"\n");
    // Without the list of all strategies.
    insta::assert_snapshot!(said.split(": expected one of").next().unwrap());
}

#[test]
fn an_unknown_setting() {
    insta::assert_snapshot!(refused_scenario(SMALL, &format!("{COLD}settings = {{ fast = true }}\n")));
}

#[test]
fn an_impossible_size() {
    insta::assert_snapshot!(refused_scenario(&SMALL.replace("4MiB", "4KiB"), COLD));
}

#[test]
fn an_invalid_size_or_duration_is_refused_with_examples() {
    // First, because this call also locks the machine, as `Place::new` below does.
    let in_scenario = refused_scenario(&SMALL.replace("4MiB", "foo"), COLD);
    let place = Place::shared();
    let said = [
        in_scenario,
        refusal(&place, &["run", "--size", "foo"], 2),
        refusal(&place, &["run", "--deadline", "soon"], 2),
        refusal(&place, &["plan", "--filter", "size=foo"], 2),
    ];
    for said in &said[..] {
        assert!(
            said.contains("64MiB, 1.5GiB or 500MB") || said.contains("90s, 5m, 1h30m or 250ms"),
            "{said}"
        );
        assert!(!said.contains("ByteSize") && !said.contains("f64"), "{said}");
    }
}

#[test]
fn an_impossible_rate_flag() {
    let place = Place::shared();
    insta::assert_snapshot!(refusal(&place, &["run", "--rate", "fast"], 2));
}

#[test]
fn an_unknown_flag() {
    let place = Place::shared();
    insta::assert_snapshot!(refusal(&place, &["run", "--sice", "1GiB"], 2));
}

#[test]
fn too_little_disk() {
    let place = Place::shared();
    let scenario = place.scenario(&SMALL.replace("4MiB", "1TiB"), COLD);
    for command in ["run", "plan"] {
        let said = refusal(&place, &[command, scenario.to_str().unwrap()], 4);
        assert!(said.contains("too little disk space for scenario 'small': it needs 3.2 TiB more"), "{said}");
        assert!(said.contains("choose a smaller --size, or another disk with --dir"), "{said}");
    }
}

#[test]
fn an_unwritable_output() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, COLD);
    let blocker = place.path().join("file");
    std::fs::write(&blocker, "").unwrap();
    let out = blocker.join("results");
    let words = ["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()];
    insta::assert_snapshot!(refusal(&place, &words, 2));
}

#[test]
fn results_that_are_there_already() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, COLD);
    let out = place.path().join("results");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("results.json"), "{}").unwrap();
    let words = ["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()];
    insta::assert_snapshot!(refusal(&place, &words, 2));
}

#[test]
fn results_that_cannot_be_read() {
    let place = Place::shared();
    let file = place.path().join("results.json");
    std::fs::write(&file, "{\n \"schema\": 1").unwrap();
    let words = ["report", file.to_str().unwrap()];
    insta::assert_snapshot!(refusal(&place, &words, 2));
}

#[test]
fn a_plan_has_no_effect() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, COLD);
    let output = place.run(&["plan", scenario.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let entries: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(entries, ["small.toml"]);
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}
