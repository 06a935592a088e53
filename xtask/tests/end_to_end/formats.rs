//! Output for programs: lists, plans and comparisons as JSON and CSV.

use serde_json::Value;

use super::*;

fn json(output: &Output) -> Value {
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn list(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backup-drill")).arg("list").args(words).output().unwrap()
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

#[test]
fn lists_are_narrowed_and_hold_defaults_as_values() {
    let all = json(&list(&["--format", "json"]));
    let strategies = json(&list(&["strategies", "--format", "json"]));
    assert_eq!(all["strategies"], strategies);
    let stepping = named(&strategies, "sqlite-online-backup");
    assert_eq!(stepping["kind"], "online");
    assert_eq!(named(&stepping["settings"], "pinned")["default"], false);
    let faults = json(&list(&["faults", "--format", "json"]));
    assert_eq!(named(&named(&faults, "bit-flip")["settings"], "bits")["default"], 1);
    let csv = text(&list(&["profiles", "--format", "csv"]));
    assert!(csv.starts_with("name,description\n"), "{csv}");
    let refused = list(&["--format", "csv"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused)
            .contains("CSV can hold only one table: list strategies, faults, stages, scenarios or profiles")
    );
}

#[test]
fn a_plan_and_a_comparison_have_raw_numbers_under_keys_with_units() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let scenario = scenario.to_str().unwrap();
    let plan = json(&place.run(&["plan", scenario, "--format", "json"]));
    assert_eq!(plan[0]["id"], "cold-copy/wal/4MiB/40/1");
    assert_eq!(plan[0]["target_bytes"], (4 << 20) as f64);
    assert_eq!(plan[0]["outlook"], "ready");
    assert!(plan[0]["estimated_seconds"].as_f64() > Some(0.0), "{plan}");

    assert_eq!(place.run(&["run", scenario]).status.code(), Some(0));
    let rows = json(&place.run(&["report", "--format", "json"]));
    assert_eq!((&rows[0]["verdict"], &rows[0]["family"]), (&"restorable".into(), &"needs_downtime".into()));
    assert!(rows[0]["backup_seconds"].as_f64() > Some(0.0), "{rows}");
    let latest = place.path().join("latest");
    let latest = latest.to_str().unwrap();
    let mut compare = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    let output = compare.args(["compare", latest, latest, "--all", "--format", "json"]).output().unwrap();
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = compared.as_array().unwrap().iter().find(|row| row["metric"] == "verdict").unwrap();
    assert_eq!((&verdict["answer"], &verdict["pairs"]), (&"equivalent".into(), &1.into()), "{compared}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("0 regressed"), "{}", text(&output));
    let narrow = place.command(&["report", "--format", "table"]).env("COLUMNS", "80").output().unwrap();
    let table = text(&narrow);
    assert!(table.contains("Needs downtime") && table.contains("more columns"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let markdown = text(&place.run(&["report", "--format", "markdown"]));
    assert!(markdown.contains("| Verdict | Strategy | Backup |"), "{markdown}");
}
