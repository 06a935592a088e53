//! Backup, restore and verification with every strategy; strategies that fail, or that wrongly report success, are
//! found.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::availability::{Forecast, Needs, Outlook};
use machine::file_system::FileSystem;
use machine::process::Cancel;
use reports::record::{Check, Verdict};
use strategies::contract::{Family, StrategyEntry};
use strategies::registry;

use super::*;

/// A variant of every strategy for an engine.
pub fn variants_for(engine: &str) -> (String, usize) {
    let on = engines::registry::named(engine).unwrap();
    let mut variants = String::new();
    let mut count = 0;
    for strategy in registry::all() {
        let card = strategy.card();
        let in_a_container = card.image(on).is_some();
        // `external` has separate tests.
        if !card.supports(on) || card.name == "external" || (without_docker() && in_a_container) {
            continue;
        }
        count += 1;
        variants += &format!("[[variants]]\nstrategy = \"{}\"\n", card.name);
        variants += match card.name {
            // Without a timeout it fails in delete mode whenever the database is locked.
            "sqlite-cli-backup" => "settings = { timeout_ms = 10000 }\n",
            // Its .backup would also meet such locks.
            "sidecar" => "settings = { sqlite_mode = \"dump\", interval_seconds = 2 }\n",
            _ => "",
        };
    }
    (variants, count)
}

fn strategy_of(trial: &Trial) -> &'static StrategyEntry {
    registry::named(&trial.strategy).map_err(|error| error.to_string()).unwrap()
}

/// The smallest size of an artifact: a selection of the rows is small.
fn least_bytes(trial: &Trial) -> u64 {
    if trial.strategy == "selective" { 1 << 14 } else { 1 << 18 }
}

/// Whether this machine lacks a tool, or this disk a feature, that the trial needs.
fn lacks_something(trial: &Trial) -> bool {
    let strategy = strategy_of(trial);
    let engine = engines::registry::named(&trial.engine).unwrap();
    let settings = trial.settings.clone().into_iter().collect();
    let strategy = strategy.configure(&settings).unwrap();
    let (root, cancel) = (Path::new(env!("CARGO_TARGET_TMPDIR")), Cancel::default());
    let needs = Needs::of_strategy(&strategy, engine, FileSystem::Disk);
    let outlook = Forecast::new(root, &cancel).of(&needs);
    matches!(outlook.unwrap_or_else(|error| panic!("{error}")), Outlook::Unavailable(_))
}

/// Asserts that the record of a trial on this disk is complete for a correct backup and restore, or says what is
/// missing on this machine.
pub fn assert_restorable(trial: &Trial) {
    if lacks_something(trial) {
        assert_eq!(trial.verdict, Verdict::Unavailable, "{}: {}", trial.id, trial.reason);
    } else {
        assert_restored(trial);
    }
}

/// Asserts that the record of a trial is complete for a correct backup and restore.
pub fn assert_restored(trial: &Trial) {
    assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.id, trial.reason);
    let verification = trial.verification.as_ref().unwrap();
    assert_eq!(verification.loss, Some(Check::Pass), "{}", trial.id);
    let configuration =
        strategy_of(trial).with_defaults().abilities().takes_configuration.then_some(Check::Pass);
    assert_eq!(verification.configuration, configuration, "{}: {:?}", trial.id, verification.findings);
    let backup = trial.backup.as_ref().unwrap();
    assert!(backup.seconds.is_some() && backup.vs_copy.is_some(), "{}", trial.id);
    assert!(backup.artifact_bytes > Some(least_bytes(trial)), "{}: {backup:?}", trial.id);
    assert!(trial.restore.as_ref().unwrap().recovery_seconds.is_some(), "{}", trial.id);
    let recovery_point = trial.recovery_point.as_ref().unwrap();
    assert!(recovery_point.acknowledged_writes > 20, "{}: {recovery_point:?}", trial.id);
    assert!(trial.resources.subject.cpu_seconds > Some(0.0) && !trial.samples.is_empty(), "{}", trial.id);
    assert!(!trial.versions.is_empty(), "{}", trial.id);
}

#[test]
fn every_sqlite_strategy_restores_in_both_journal_modes_or_says_why_not() {
    let place = Place::shared();
    let (variants, count) = variants_for("sqlite");
    let extra = format!("[subject]\njournal_modes = [\"wal\", \"delete\"]\n{SMALL}");
    let output = place.run_scenario(&place.scenario(&extra, &variants));
    let results = place.results();
    assert_eq!(results.trials.len(), count * 2, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        // It does not wait for locks.
        if trial.id.starts_with("sqlite3-rsync/delete") && trial.verdict == Verdict::Failed {
            assert!(trial.reason.contains("database is locked"), "{}", trial.reason);
            continue;
        }
        assert_restorable(trial);
        if !lacks_something(trial) {
            let is_written = strategy_of(trial).card().family != Family::Snapshot;
            assert!(
                !is_written || trial.backup.as_ref().unwrap().bytes_written > Some(least_bytes(trial)),
                "{}",
                trial.id
            );
            // The tail was written after every backup had ended.
            let lost = trial.recovery_point.as_ref().unwrap().lost_writes;
            assert!(lost > 0 || strategy_of(trial).card().family == Family::Continuous, "{}", trial.id);
            assert_figures_agree(trial);
        }
    }
    let cold = trial(&results, "cold-copy/wal").impact.as_ref().unwrap();
    assert!(cold.downtime_seconds > Some(0.0), "{cold:?}");
    place.assert_clean();
}

/// Asserts that downtime, loss and survival in the record fit the family of the strategy.
fn assert_figures_agree(trial: &Trial) {
    let family = strategy_of(trial).card().family;
    let (impact, point) = (trial.impact.as_ref().unwrap(), trial.recovery_point.as_ref().unwrap());
    assert_eq!(impact.downtime_seconds > Some(0.0), family == Family::Cold, "{}: {impact:?}", trial.id);
    // When no write was due during a short backup, blocked time is unknown.
    let is_blocked = impact.blocked_seconds.is_none_or(|blocked| Some(blocked) >= impact.downtime_seconds);
    assert!(is_blocked, "{}: {impact:?}", trial.id);
    let floor = point.lost_writes_at_completion;
    // A sidecar makes more backups until the disaster.
    let goes_on = family == Family::Continuous || trial.strategy == "sidecar";
    assert_eq!(floor.is_none(), goes_on, "{}: {point:?}", trial.id);
    assert!(floor.is_none_or(|floor| floor <= point.lost_writes), "{}: {point:?}", trial.id);
    assert_eq!(trial.survives_disk_loss, Some(family != Family::Snapshot), "{}", trial.id);
    let in_all = trial.resources.strategy.bytes_written;
    assert!(trial.backup.as_ref().unwrap().bytes_written_to_disk <= in_all, "{}: {in_all:?}", trial.id);
    let tail = trial.samples.iter().filter(|sample| sample.phase == "tail");
    assert!(tail.clone().all(|sample| sample.artifact_bytes.is_some()), "{}", trial.id);
    assert!(tail.clone().all(|sample| sample.harness_cpu_seconds.is_some()), "{}", trial.id);
}

#[test]
fn stepping_that_never_completes_a_pass_is_stalled_and_the_restart_model_is_shown() {
    let place = Place::shared();
    // 1,000 pages in steps of 10 with pauses of 5 ms: a pass takes half a second and meets 20 commits.
    let variants = r#"
        [[variants]]
        strategy = "sqlite-online-backup"
        settings = { step_pages = 10, pause_ms = 5 }
        [[variants]]
        strategy = "sqlite-online-backup"
        settings = { step_pages = 10, pause_ms = 5, pinned = true }
    "#;
    let output = place.run_scenario(&place.scenario(SMALL, variants));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let results = place.results();
    let stalled = &results.trials[0];
    assert_eq!(stalled.verdict, Verdict::Stalled, "{}", stalled.reason);
    let backup = stalled.backup.as_ref().unwrap();
    assert!(backup.restarts > Some(10) && backup.seconds.is_none(), "{backup:?}");
    assert!(backup.progress.unwrap() < 1.0 && backup.bytes_written > Some(0), "{backup:?}");
    assert!(backup.eta_seconds.unwrap() > 1000.0, "{backup:?}");
    assert!(stalled.verification.is_none() && stalled.restore.is_none());
    let pinned = &results.trials[1];
    assert_eq!(pinned.verdict, Verdict::Restorable, "{}", pinned.reason);
    assert_eq!(pinned.backup.as_ref().unwrap().restarts, Some(0));
    let report = std::fs::read_to_string(place.path().join("latest/report.md")).unwrap();
    assert!(report.contains("### Restart model"), "{report}");
    place.assert_clean();
}

#[test]
fn a_backup_that_converges_too_slowly_is_timed_out() {
    let place = Place::shared();
    let variants = r#"
        [[variants]]
        strategy = "sqlite-online-backup"
        settings = { step_pages = 10, pause_ms = 20, pinned = true }
    "#;
    let scenario = place.scenario(SMALL, variants);
    let output = place.run(&["run", scenario.to_str().unwrap(), "--deadline", "0.8"]);
    let results = place.results();
    assert_eq!(results.trials[0].verdict, Verdict::TimedOut, "{}", text(&output));
    assert!(results.trials[0].backup.as_ref().unwrap().eta_seconds.unwrap() > 0.8);
    place.assert_clean();
}

#[test]
fn an_unsafe_copy_of_live_files_is_found_and_does_not_fail_the_run() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = \"hot-copy\"\nsettings = { seconds_min = 6.0 }\n";
    let extra = SMALL.replace("[40]", "[300]");
    let output = place.run_scenario(&place.scenario(&extra, variants));
    let results = place.results();
    assert_eq!(results.trials[0].verdict, Verdict::Corrupt, "{}", results.trials[0].reason);
    assert!(results.trials[0].control && results.trials[0].verification.as_ref().unwrap().loss.is_none());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    place.assert_clean();
}

/// Puts a script first on PATH that replaces `cp` for the command of the backup.
fn with_false_cp(place: &Place, command: &mut Command, script: &str) {
    let directory = place.path().join("bin");
    std::fs::create_dir(&directory).unwrap();
    let real = ["/bin/cp", "/usr/bin/cp"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let text = format!("#!/bin/sh\ncase \"$*\" in *artifact) {script};; *) exec {real} \"$@\";; esac\n");
    let path = directory.join("cp");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let search = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    command.env("PATH", search);
}

#[test]
fn a_tool_that_copies_a_part_and_reports_success_is_found() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    with_false_cp(&place, &mut command, "exec head -c 2000000 \"$4\" > \"$5/database.sqlite\"");
    // The arguments of cp are: -a --reflink=never -- DATABASE DIRECTORY.
    let output = command.output().unwrap();
    let results = place.results();
    assert_eq!(results.trials[0].verdict, Verdict::Corrupt, "{}", results.trials[0].reason);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    place.assert_clean();
}

#[test]
fn a_tool_that_copies_nothing_and_reports_success_is_found() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    with_false_cp(&place, &mut command, "exit 0");
    let output = command.output().unwrap();
    let results = place.results();
    assert_eq!(results.trials[0].verdict, Verdict::Failed, "{}", results.trials[0].reason);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    place.assert_clean();
}

#[test]
fn the_application_is_started_again_when_the_cold_copy_fails() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    with_false_cp(&place, &mut command, "echo 'no space left on device' >&2; exit 1");
    command.output().unwrap();
    let trial = &place.results().trials[0];
    assert_eq!(trial.verdict, Verdict::Failed, "{}", trial.reason);
    assert!(trial.reason.contains("no space left on device"), "{}", trial.reason);
    // Downtime is recorded when the application answers again.
    assert!(trial.impact.as_ref().unwrap().downtime_seconds > Some(0.0), "{:?}", trial.impact);
    place.assert_clean();
}

#[test]
fn a_database_without_writes_and_a_closed_loop_are_valid_workloads() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = \"sqlite-vacuum-into\"\n";
    let extra =
        SMALL.replace("rates = [40]", "rates = [0, \"closed\"]\nwriters = 3\nrows_per_transaction = 4");
    let output = place.run_scenario(&place.scenario(&extra, variants));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = place.results();
    let quiet = results.trials[0].recovery_point.as_ref().unwrap();
    assert_eq!((quiet.acknowledged_writes, quiet.lost_writes), (3, 0));
    let closed = results.trials[1].recovery_point.as_ref().unwrap();
    assert!(closed.acknowledged_writes > 100, "{closed:?}");
    place.assert_clean();
}

#[test]
fn a_missing_tool_makes_a_trial_unavailable_with_how_to_get_it() {
    let place = Place::shared();
    let scenario = place.scenario(SMALL, "[[variants]]\nstrategy = \"sqlite-cli-backup\"\n");
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["cp", "git"] {
        if let Some(real) =
            ["/bin", "/usr/bin"].iter().map(|at| Path::new(at).join(tool)).find(|path| path.exists())
        {
            std::os::unix::fs::symlink(real, bin.join(tool)).unwrap();
        }
    }
    let output = command.env("PATH", &bin).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let trial = &place.results().trials[0];
    assert_eq!(trial.verdict, Verdict::Unavailable);
    insta::assert_snapshot!(trial.reason);
    place.assert_clean();
}

#[test]
fn a_cold_source_is_read_from_the_disk_and_a_warm_one_is_not() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = \"sqlite-vacuum-into\"\n";
    for (cache, cold) in [("cold", true), ("warm", false)] {
        let extra = format!("[subject]\ncache = \"{cache}\"\n{SMALL}");
        let output = place.run_scenario(&place.scenario(&extra, variants));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let trial = &place.results().trials[0];
        let read = trial.backup.as_ref().unwrap().bytes_read_from_disk.unwrap();
        let share = trial.workload.cached_share.unwrap();
        assert_eq!(read > 3 << 20, cold, "{cache}: {read} bytes from disk");
        assert_eq!(share < 0.1, cold, "{cache}: {share} cached");
    }
}
