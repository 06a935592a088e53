//! The sidecar with an interval, and in a maintenance window.

use std::fs::File;

use engines::images::{self, SIDECAR};
use machine::container::{BindMount, Container, Network, Spec};
use machine::error::Error;
use machine::process::{Account, Cancel, Launcher};
use reports::record::Verdict;

use super::every_strategy::assert_restorable;
use super::*;

/// Runs one variant, and returns its trial.
fn tried(place: &Place, engine: &str, variant: &str, flags: &[&str]) -> Trial {
    let extra = format!("[subject]\nengines = [\"{engine}\"]\n{SMALL}");
    let scenario = place.scenario(&extra, &format!("[[variants]]\n{variant}\n"));
    let output = place.run(&[&["run", scenario.to_str().unwrap()][..], flags].concat());
    place.assert_clean();
    let results = place.results();
    assert_eq!(results.trials.len(), 1, "{}", text(&output));
    results.trials.into_iter().next().unwrap()
}

#[test]
fn a_sidecar_backs_up_at_its_interval_and_removes_old_backups() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let dump = "strategy = \"sidecar\"\n\
                settings = { sqlite_mode = \"dump\", interval_seconds = 1, cycles = 3, aged_backups = 2 }";
    let trial = tried(&place, "sqlite", dump, &[]);
    assert_restorable(&trial);
    let said = trial.backup.as_ref().unwrap().output.as_ref().unwrap();
    assert_eq!(said.matches("removed sqlite-").count(), 2, "{said}");
    // The backup that was running when the trial's backup began, and the three that the trial waited for.
    assert!(said.matches("stored sqlite-").count() >= 4, "{said}");
    assert!(said.matches("stored config-").count() >= 4, "{said}");
}

#[test]
fn a_sidecar_copies_a_database_with_few_writes_page_by_page() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let copy = "strategy = \"sidecar\"\nsettings = { sqlite_mode = \"backup\", interval_seconds = 1 }";
    assert_restorable(&tried(&place, "sqlite", copy, &["--rate", "15"]));
}

#[test]
fn a_sidecar_copies_the_files_of_a_database_under_continuous_writes() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let subject = format!("[subject]\njournal_modes = [\"wal\", \"delete\"]\n{SMALL}");
    let copy = "[[variants]]\nstrategy = \"sidecar\"\n\
                settings = { sqlite_mode = \"copy\", interval_seconds = 1, cycles = 3 }\n";
    let scenario = place.scenario(&subject, copy);
    // Each writer sends its next write as soon as the last one was answered.
    let output = place.run(&["run", scenario.to_str().unwrap(), "--rate", "closed"]);
    place.assert_clean();
    let results = place.results();
    assert_eq!(results.trials.len(), 2, "{}", text(&output));
    for trial in &results.trials {
        assert_restorable(trial);
        let said = trial.backup.as_ref().unwrap().output.as_ref().unwrap();
        assert!(said.matches("stored sqlite-").count() >= 4, "{}: {said}", trial.id);
    }
}

#[test]
fn a_sidecar_verifies_its_backups_of_each_engine() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let verified = "strategy = \"sidecar\"\nsettings = { interval_seconds = 1, verify_every = 1 }";
    for (engine, how) in [("sqlite", "checked for damage"), ("mysql", "rows compared with the source")] {
        let trial = tried(&place, engine, verified, &[]);
        assert_restorable(&trial);
        let said = trial.backup.as_ref().unwrap().output.as_ref().unwrap();
        assert!(said.contains(&format!("verified the {engine} backup: ")) && said.contains(how), "{said}");
    }
}

#[test]
fn a_sidecar_with_too_long_an_interval_is_timed_out_and_measured() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let rare = "strategy = \"sidecar\"\nsettings = { interval_seconds = 1000 }";
    let trial = tried(&place, "sqlite", rare, &["--deadline", "4", "--rate", "15"]);
    assert_eq!(trial.verdict, Verdict::TimedOut, "{}", trial.reason);
    // It made one backup when it was armed.
    assert!(trial.resources.strategy.bytes_written > Some(1 << 19), "{:?}", trial.resources);
}

#[test]
fn a_sidecar_dumps_mysql_at_its_interval() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let dump = "strategy = \"sidecar\"\nsettings = { interval_seconds = 1, aged_backups = 1 }";
    let trial = tried(&place, "mysql", dump, &[]);
    assert_restorable(&trial);
    assert!(trial.impact.unwrap().during.unwrap().writes_per_second > 0.0, "writers continue");
}

#[test]
fn a_maintenance_window_stops_writers_and_lets_them_continue_afterwards() {
    if without_docker() {
        return;
    }
    for engine in ["sqlite", "mysql"] {
        let place = Place::shared().with_datasets_of_servers();
        let trial = tried(&place, engine, "strategy = \"maintenance-window\"", &[]);
        assert_restorable(&trial);
        assert!(trial.impact.unwrap().downtime_seconds > Some(0.0), "{engine}");
        // The tail was written after the window.
        assert!(trial.recovery_point.unwrap().lost_writes > 0, "{engine}");
    }
}

#[test]
fn the_application_is_started_again_when_the_window_is_aborted() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    // No container has ended by then.
    let trial = tried(&place, "sqlite", "strategy = \"maintenance-window\"", &["--deadline", "0.01"]);
    // If the application had not been started again, this trial would be unverified.
    assert_eq!(trial.verdict, Verdict::TimedOut, "{}", trial.reason);
    // Blocked time is recorded when the application answers again.
    assert!(trial.impact.as_ref().unwrap().blocked_seconds > Some(0.0), "{:?}", trial.impact);
}

#[test]
fn a_backup_refuses_to_run_at_the_same_time_as_another() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let launcher = Launcher::new(place.path(), &Cancel::default());
    let image = images::obtain(&SIDECAR, None, &launcher, &|_| ()).unwrap();
    let backups = place.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    std::fs::write(backups.join("paths"), "/etc/hostname\n").unwrap();
    let lock = File::create(backups.join(".backup-sidecar.lock")).unwrap();
    let back_up = || {
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let spec = Spec {
            environment: vec![setting("BACKUP_MODE", "single"), setting("BACKUP_PATHS", "/backups/paths")],
            mounts: vec![BindMount { host: backups.clone(), container: "/backups".into(), read_only: false }],
            network: Network::None,
            ..Spec::new(&image.reference, "sidecar container")
        };
        let mut container = Container::start(&launcher, Account::Strategy, spec).unwrap();
        container.wait::<Error>(&mut || Ok(())).unwrap()
    };
    lock.lock().unwrap();
    let refused = back_up();
    assert_eq!(refused.code, 3, "{}", refused.output);
    assert!(refused.output.contains("another backup into /backups is running"), "{}", refused.output);
    lock.unlock().unwrap();
    let done = back_up();
    assert_eq!(done.code, 0, "{}", done.output);
}
