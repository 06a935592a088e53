//! Each fault strikes, is over afterwards, and shows what it should; nothing of it is left behind.

use machine::file_system::{self, FileSystem, TemporaryFileSystem};
use machine::process::{Cancel, Launcher};
use reports::compare::Outcome;
use reports::reaction::Reaction;
use reports::record::{Fault, Verdict};

use super::file_systems::can_make;
use super::*;

const ONLINE: &str = "[[variants]]\nstrategy = \"sqlite-online-backup\"\nsettings = { step_pages = -1 }\n";

/// Runs these faults on a small database in WAL mode.
fn run(place: &Place, faults: &str, variants: &str) -> Results {
    let top = format!("faults = [{faults}]\n{SMALL}");
    let output = place.run_scenario(&place.scenario(&top, variants));
    let results = place.results();
    assert!(!results.trials.is_empty(), "{}", text(&output));
    results
}

fn fault(trial: &Trial) -> &Fault {
    let fault = trial.fault.as_ref().expect("it is a trial with a fault");
    assert!(fault.proof.is_some(), "{}: it did not strike: {}", trial.id, trial.reason);
    assert!(fault.struck_at_seconds.is_some(), "{}", trial.id);
    fault
}

/// Everything but the backup under the fault came through.
fn assert_came_through(trial: &Trial) {
    let fault = fault(trial);
    for (name, part) in
        [("previous", &fault.previous_backup), ("source", &fault.source), ("next", &fault.next_backup)]
    {
        let part = part.as_ref().unwrap_or_else(|| panic!("{}: no {name}: {fault:?}", trial.id));
        assert!(part.ok, "{}: {name}: {}", trial.id, part.reason);
    }
}

#[test]
fn a_strategy_that_is_killed_is_noticed_and_harms_nothing() {
    let place = Place::shared();
    let variants =
        format!("{ONLINE}[[variants]]\nstrategy = \"cold-copy\"\n[[variants]]\nstrategy = \"sqlite-dump\"\n");
    let results = run(&place, "\"kill-strategy\"", &variants);
    assert_eq!(results.trials.len(), 3);
    for trial in &results.trials {
        assert_eq!(Reaction::of(trial), Some(Reaction::Detected), "{}: {}", trial.id, trial.reason);
        assert!(fault(trial).reported_seconds.is_some_and(|seconds| seconds >= 0.0));
        assert!(trial.id.ends_with("/kill-strategy/1"), "{}", trial.id);
        assert_came_through(trial);
        assert_eq!(Outcome::of_trial(trial), Outcome::AsPromised);
    }
    place.assert_clean();
}

#[test]
fn an_application_that_is_killed_during_a_backup_is_started_again() {
    let place = Place::shared();
    // The second one restores the database together with its log.
    let variants = format!("{ONLINE}[[variants]]\nstrategy = \"sqlite-live-copy\"\n");
    let results = run(&place, "\"kill-database\"", &variants);
    assert_eq!(results.trials.len(), 2);
    for trial in &results.trials {
        assert_eq!(Reaction::of(trial), Some(Reaction::Survived), "{}", trial.reason);
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn a_destination_that_is_full_or_read_only_is_noticed() {
    let place = Place::shared();
    let results = run(&place, "\"destination-full\", \"destination-read-only\"", ONLINE);
    assert_eq!(results.trials.len(), 2);
    for trial in &results.trials {
        if trial.verdict == Verdict::Unavailable {
            continue;
        }
        assert_eq!(Reaction::of(trial), Some(Reaction::Detected), "{}: {}", trial.id, trial.reason);
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn after_a_power_cut_the_source_and_the_previous_backup_are_right() {
    let place = Place::shared();
    let results = run(&place, "\"power-cut\", { fault = \"power-cut\", file_system = \"xfs\" }", ONLINE);
    assert_eq!(results.trials.len(), 2);
    for trial in results.trials.iter().filter(|trial| trial.verdict != Verdict::Unavailable) {
        assert_eq!(Reaction::of(trial), Some(Reaction::Detected), "{}: {}", trial.id, trial.reason);
        assert_came_through(trial);
        assert!(trial.file_system.as_deref().is_some_and(|kind| kind.ends_with("on a loop device")));
    }
    place.assert_clean();
}

#[test]
fn what_the_commands_have_synced_is_there_after_a_power_cut_at_success_and_nothing_else() {
    let place = Place::shared();
    // `cp` does not sync.
    let variants = r#"
        [[variants]]
        strategy = "cold-copy"
        [[variants]]
        name = "synced"
        strategy = "external"
        [variants.settings]
        backup = '''sqlite3 "$DRILL_SOURCE" "VACUUM INTO '$DRILL_DESTINATION/copy.db'" && sync'''
        restore = 'cp "$DRILL_ARTIFACT/copy.db" "$DRILL_TARGET"'
    "#;
    let results = run(&place, "\"power-cut-at-success\"", variants);
    for trial in results.trials.iter().filter(|trial| trial.verdict != Verdict::Unavailable) {
        let reaction = Reaction::of(trial);
        let expected: &[Reaction] = if trial.strategy == "cold-copy" {
            // Without its file, the restore of the copy notices that something is missing.
            &[Reaction::Silent, Reaction::Detected]
        } else {
            &[Reaction::Survived]
        };
        assert!(
            reaction.is_some_and(|reaction| expected.contains(&reaction)),
            "{}: {}",
            trial.id,
            trial.reason
        );
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn a_damaged_artifact_is_noticed_or_found_by_the_verifier() {
    let place = Place::shared();
    let faults = "\"bit-flip\", { fault = \"bit-flip\", bits = 50 }, \"truncated\"";
    let variants = format!("{ONLINE}[[variants]]\nstrategy = \"sqlite-dump\"\n");
    let results = run(&place, faults, &variants);
    assert_eq!(results.trials.len(), 6);
    for trial in &results.trials {
        let fault = fault(trial);
        assert!(
            fault.previous_backup.is_none() && fault.next_backup.is_none(),
            "no backup is made around it"
        );
        let is_copy = trial.strategy == "sqlite-online-backup";
        match (is_copy, fault.label.as_str()) {
            // A plain copy carries no checksum: the restore copies the damage.
            (true, "truncated" | "bit-flip:bits=50") => {
                assert_eq!(Reaction::of(trial), Some(Reaction::Silent), "{}: {}", trial.id, trial.reason);
            }
            (true, _) => assert!(Reaction::of(trial).is_some(), "{}", trial.reason),
            // zstd has a checksum.
            (false, _) => {
                assert_eq!(Reaction::of(trial), Some(Reaction::Detected), "{}: {}", trial.id, trial.reason);
            }
        }
    }
    place.assert_clean();
}

#[test]
fn an_old_log_beside_a_restored_copy_is_exposed() {
    let place = Place::shared();
    let results = run(&place, "\"stale-companion\"", ONLINE);
    let trial = &results.trials[0];
    assert!(fault(trial).proof.as_ref().unwrap().contains("-wal"), "{:?}", trial.fault);
    assert!(Reaction::of(trial).is_some(), "{}", trial.reason);
    place.assert_clean();
}

#[test]
fn a_repository_gives_back_an_older_backup_and_nothing_with_another_key() {
    let place = Place::shared();
    // What is restored without a fault is an older backup, which must lack the later writes.
    let variant = |name: &str| {
        format!("[[variants]]\nstrategy = \"{name}\"\nsettings = {{ earlier = 2, restore_older = 1 }}\n")
    };
    let variants = [ONLINE, &variant("restic"), &variant("borg")].concat();
    let results = run(&place, "\"none\", \"wrong-key\"", &variants);
    let plan = text(&place.run(&["plan", place.path().join("small.toml").to_str().unwrap()]));
    assert!(plan.contains("its artifact is not encrypted"), "{plan}");
    assert_eq!(results.trials.len(), 5);
    for trial in &results.trials {
        if trial.fault.is_none() {
            assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.id, trial.reason);
            continue;
        }
        fault(trial);
        assert_eq!(Reaction::of(trial), Some(Reaction::Detected), "{}: {}", trial.id, trial.reason);
        let reason = trial.reason.to_lowercase();
        assert!(reason.contains("password") || reason.contains("passphrase"), "{}", trial.reason);
    }
    place.assert_clean();
}

#[test]
fn a_line_that_is_cut_harms_no_backup_that_was_published() {
    let place = Place::shared();
    let stages = "stages = [[\"s3\"], [\"sftp\"]]\n";
    let top = format!("faults = [\"network-cut\"]\n{stages}{SMALL}");
    place.run_scenario(&place.scenario(&top, "[[variants]]\nstrategy = \"sqlite-live-copy\"\n"));
    let results = place.results();
    assert_eq!(results.trials.len(), 2);
    for trial in results.trials.iter().filter(|trial| trial.verdict != Verdict::Unavailable) {
        let struck = fault(trial);
        assert!(struck.proof.as_ref().unwrap().contains("the line was cut for 2 s"), "{struck:?}");
        let survived = Reaction::of(trial) == Some(Reaction::Survived);
        assert!(
            survived || Reaction::of(trial) == Some(Reaction::Detected),
            "{}: {}",
            trial.id,
            trial.reason
        );
        let parts = [&struck.previous_backup, &struck.source];
        assert!(parts.iter().all(|part| part.as_ref().is_some_and(|part| part.ok)), "{struck:?}");
        assert!(survived || struck.next_backup.as_ref().is_some_and(|next| next.ok), "{struck:?}");
    }
    place.assert_clean();
}

#[test]
fn two_backups_at_once_are_judged_by_what_they_left() {
    let place = Place::shared();
    let variants = format!("{ONLINE}[[variants]]\nstrategy = \"sqlite-dump\"\n");
    let results = run(&place, "\"two-at-once\"", &variants);
    assert_eq!(results.trials.len(), 2);
    for trial in &results.trials {
        let proof = fault(trial).proof.as_ref().unwrap();
        assert!(proof.contains("it reported success") || proof.contains("it failed"), "{proof}");
        assert!(Reaction::of(trial).is_some(), "{}: {}", trial.id, trial.reason);
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn a_transaction_that_stays_open_is_survived() {
    let place = Place::shared();
    let results = run(&place, "\"long-transaction\"", ONLINE);
    let trial = &results.trials[0];
    assert_eq!(Reaction::of(trial), Some(Reaction::Survived), "{}", trial.reason);
    assert_came_through(trial);
    place.assert_clean();
}

#[test]
fn scarce_disk_time_memory_and_changes_of_the_schema_are_survived_or_noticed() {
    let place = Place::shared();
    let faults = r#"
        { fault = "slow-disk", bytes_per_second = "8MB" }, { fault = "slow-disk", of = "everything" },
        "memory-limit", "schema-change"
    "#;
    let results = run(&place, faults, ONLINE);
    assert_eq!(results.trials.len(), 4);
    for trial in results.trials.iter().filter(|trial| trial.verdict != Verdict::Unavailable) {
        let reaction = Reaction::of(trial);
        let is_noticed = trial.id.contains("memory") && reaction == Some(Reaction::Detected);
        assert!(reaction == Some(Reaction::Survived) || is_noticed, "{}: {}", trial.id, trial.reason);
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn the_limits_of_a_disk_end_with_its_mount_even_if_the_run_was_killed() {
    let place = Place::shared();
    if !can_make(FileSystem::Xfs, &place) || file_system::missing_for_throttling().is_some() {
        return;
    }
    let launcher = Launcher::new(place.path(), &Cancel::default());
    // Other trials limit their disks at the same time.
    let is_limited = || {
        let rules = std::fs::read_to_string("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device").unwrap();
        rules.lines().any(|rule| rule.ends_with(" 12345678"))
    };
    let disk =
        TemporaryFileSystem::make(FileSystem::Xfs, &launcher, "slow", FileSystem::Xfs.disk_bytes(0)).unwrap();
    disk.throttle(Some(12_345_678)).unwrap();
    assert!(is_limited());
    disk.throttle(None).unwrap();
    assert!(!is_limited());
    disk.throttle(Some(12_345_678)).unwrap();
    assert!(is_limited());
    // As the next start does after a kill.
    file_system::sweep(&place.path().canonicalize().unwrap()).unwrap();
    assert!(!is_limited());
}

#[test]
fn what_was_synced_survives_a_power_cut_and_nothing_else_does() {
    let place = Place::shared();
    let launcher = Launcher::new(place.path(), &Cancel::default());
    for kind in [FileSystem::Ext4, FileSystem::Xfs].into_iter().filter(|kind| can_make(*kind, &place)) {
        let disk = TemporaryFileSystem::make(kind, &launcher, kind.name(), kind.disk_bytes(0)).unwrap();
        let (synced, unsynced) = (disk.point().join("synced"), disk.point().join("unsynced"));
        let file = std::fs::File::create(&synced).unwrap();
        std::io::Write::write_all(&mut &file, b"on the disk").unwrap();
        file.sync_all().unwrap();
        std::fs::File::open(disk.point()).unwrap().sync_all().unwrap();
        drop(file);
        std::fs::write(&unsynced, "in memory").unwrap();
        disk.cut_power(&launcher).unwrap();
        assert!(std::fs::write(disk.point().join("later"), "").is_err(), "every access fails");
        disk.mount_again(&launcher).unwrap();
        assert_eq!(std::fs::read_to_string(&synced).unwrap(), "on the disk");
        assert_ne!(std::fs::read_to_string(&unsynced).ok().as_deref(), Some("in memory"));
        std::fs::write(disk.point().join("later"), "").unwrap();
    }
}

#[test]
fn a_gap_in_a_chain_and_a_killed_replica_show_in_the_restore() {
    let place = Place::shared();
    let results =
        run(&place, "\"missing-piece\", \"kill-strategy\"", "[[variants]]\nstrategy = \"litestream\"\n");
    for trial in results.trials.iter().filter(|trial| trial.verdict != Verdict::Unavailable) {
        let fault = fault(trial);
        assert!(Reaction::of(trial).is_some(), "{}: {}", trial.id, trial.reason);
        if fault.name == "kill-strategy" {
            assert_eq!(Reaction::of(trial), Some(Reaction::Detected), "{}", trial.reason);
            assert!(fault.previous_backup.is_none(), "a replica has no separate backups");
            assert_eq!(fault.harm().count(), 0, "{fault:?}");
        }
    }
    place.assert_clean();
}

#[test]
fn faults_of_a_server_are_noticed_and_over_afterwards() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let top = format!(
        "faults = [\"kill-strategy\", \"kill-database\", \"wrong-password\", \"power-cut\", \"schema-change\", \
         \"two-at-once\"]\n\
         [subject]\nengines = [\"mysql\"]\n{SMALL}"
    );
    let scenario = place.scenario(&top, "[[variants]]\nstrategy = \"mysql-dump\"\n");
    let output = place.run_scenario(&scenario);
    let results = place.results();
    assert_eq!(results.trials.len(), 6, "{}", text(&output));
    for trial in &results.trials {
        let reaction = Reaction::of(trial);
        // A dump of so little may be complete before the server is killed.
        let survivable = ["schema-change", "kill-database", "two-at-once"];
        let may_survive = survivable.iter().any(|fault| trial.id.contains(fault));
        assert!(
            reaction == Some(Reaction::Detected) || may_survive && reaction == Some(Reaction::Survived),
            "{}: {}",
            trial.id,
            trial.reason
        );
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn a_plan_says_which_faults_make_no_sense_and_filters_select_a_cell() {
    let place = Place::shared();
    let top = format!("faults = [\"none\", \"kill-database\", \"missing-piece\"]\n{SMALL}");
    let scenario = place.scenario(&top, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let planned = place.run(&["plan", scenario.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(said.contains("1 trial, seed"), "{said}");
    let reason = "not planned: cold-copy/wal with kill-database: the application is stopped during the backup, so that \
                  it cannot be killed";
    assert!(said.contains(reason), "{said}");
    assert!(said.contains("with missing-piece: its artifact is not a chain of pieces"), "{said}");
    let selected =
        place.run(&["plan", "faults", "--filter", "fault=bit-flip,strategy=sqlite-dump", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&selected.stdout).unwrap();
    let ids: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["sqlite-dump/wal/16MiB/50/bit-flip/1"]);
}

#[test]
fn an_unknown_fault_or_setting_is_refused_with_its_place() {
    let place = Place::shared();
    for (faults, expected) in [
        ("\"kill-strategi\"", "unknown fault 'kill-strategi' (did you mean 'kill-strategy'?)"),
        ("{ fault = \"bit-flip\", bits = 0 }", "fault 'bit-flip': bits is 0: it must be from 1 to 1000"),
        ("{ fault = \"bit-flip\", bit = 1 }", "fault 'bit-flip': unknown field `bit`, expected `bits`"),
        ("{ bits = 1 }", "a table in `faults` needs the key `fault` with the name of a fault"),
        ("", "faults is empty: give at least one value"),
    ] {
        let scenario = place.scenario(&format!("faults = [{faults}]\n{SMALL}"), ONLINE);
        let output = place.run_scenario(&scenario);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
}

#[test]
fn a_clock_that_steps_is_survived_and_is_right_afterwards() {
    let place = Place::shared();
    let variants = format!("{ONLINE}[[variants]]\nstrategy = \"sqlite-dump\"\n");
    let results = run(&place, "\"clock-step\", { fault = \"clock-step\", seconds = -7200 }", &variants);
    assert_eq!(results.trials.len(), 4);
    for trial in results.trials.iter().filter(|trial| trial.verdict != Verdict::Unavailable) {
        assert_eq!(Reaction::of(trial), Some(Reaction::Survived), "{}: {}", trial.id, trial.reason);
        let seconds = if trial.id.contains("7200") { "-7200 s" } else { "+3600 s" };
        assert!(fault(trial).proof.as_ref().unwrap().contains(seconds), "{:?}", trial.fault);
        assert_came_through(trial);
    }
    place.assert_clean();
}

#[test]
fn a_strategy_that_wants_more_memory_than_its_scenario_allows_ends_its_trial_and_not_the_run() {
    let place = Place::shared();
    let variants = r#"
        [[variants]]
        strategy = "external"
        [variants.settings]
        backup = 'head -c 256M /dev/zero | tail -c 256M > "$DRILL_DESTINATION/bytes"'
        restore = "true"
        [[variants]]
        strategy = "cold-copy"
    "#;
    let scenario = place.scenario(SMALL, variants);
    let text = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(
        &scenario,
        text.replace("[trial]", "[trial]\nstrategy_memory = \"64MiB\"\nstrategy_cpus = 1.5"),
    )
    .unwrap();
    place.run_scenario(&scenario);
    let results = place.results();
    let [greedy, copy] = &results.trials[..] else { panic!("two trials were planned") };
    if greedy.verdict != Verdict::Unavailable {
        assert_eq!(greedy.verdict, Verdict::Failed, "{}", greedy.reason);
        assert_eq!(copy.verdict, Verdict::Restorable, "{}", copy.reason);
    }
    assert_eq!(results.run.conditions["trial.strategy_cpus"], 1.5);
    place.assert_clean();
}
