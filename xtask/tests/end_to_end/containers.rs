//! MySQL, MariaDB and the tracker in containers: every strategy, and every way in which a container can fail a run.

use std::net::TcpListener;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reports::record::Verdict;

use super::every_strategy::{assert_restorable, variants_for};
use super::*;

pub fn on(subject: &str) -> String {
    format!("[subject]\n{subject}\n{SMALL}")
}

pub const MYSQL: &str = "engines = [\"mysql\"]";
/// Changed pages are written at once. Otherwise the files of tables hardly change during a trial.
const MARIADB: &str = "engines = [\"mariadb\"]\nmariadb_options = { innodb_max_dirty_pages_pct = 0 }";
const TRACKER_ON_SQLITE: &str = "apps = [\"tracker\"]\njournal_modes = [\"delete\"]";
const TRACKER_ON_MYSQL: &str = "engines = [\"mysql\"]\napps = [\"tracker\"]";
const COLD: &str = "[[variants]]\nstrategy = \"cold-copy\"\n";

#[test]
fn every_mysql_strategy_restores_or_says_why_not() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let (variants, count) = variants_for("mysql");
    let output = place.run_scenario(&place.scenario(&on(MYSQL), &variants));
    let results = place.results();
    assert_eq!(results.trials.len(), count, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        assert_restorable(trial);
        assert_eq!(trial.workload.server_options["sync_binlog"], "1");
    }
    let lost = |part| trial(&results, part).recovery_point.as_ref().unwrap().lost_writes;
    assert!(lost("mysql-clone") > 0, "the tail was written after the clone");
    assert!(lost("mysql-binlog") < lost("mysql-clone"), "the log was replicated until the disaster");
    let cold = trial(&results, "cold-copy").impact.as_ref().unwrap();
    assert!(cold.downtime_seconds > Some(0.5) && cold.blocked_seconds >= cold.downtime_seconds, "{cold:?}");
    let strategies = results.trials.iter().filter(|trial| trial.backup.is_some());
    for trial in strategies {
        // Memory in containers is measured, and a value that could not be read is not 0.
        let memory = [&trial.resources.subject, &trial.resources.strategy].map(|used| used.memory_bytes_max);
        assert!(memory[0] > Some(32 << 20) && memory[1] != Some(0), "{}: {memory:?}", trial.id);
    }
    place.assert_clean();
}

#[test]
fn every_mariadb_strategy_restores_or_says_why_not() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let (variants, count) = variants_for("mariadb");
    let incremental = "[[variants]]\nstrategy = \"mariadb-backup\"\nsettings = { incrementals = 2 }\n";
    let output = place.run_scenario(&place.scenario(&on(MARIADB), &(variants + incremental)));
    let results = place.results();
    assert_eq!(results.trials.len(), count + 1, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        assert_restorable(trial);
        assert_eq!(trial.workload.server_options["sync_binlog"], "1");
    }
    let lost = |part| trial(&results, part).recovery_point.as_ref().unwrap().lost_writes;
    assert!(lost("mariadb-backup/") > 0, "the tail was written after the backup");
    let size = |part| trial(&results, part).backup.as_ref().unwrap().artifact_bytes.unwrap();
    let (full, all) = (size("mariadb-backup/"), size("mariadb-backup:incrementals=2"));
    // Two more full backups would take three times the space.
    assert!((full..2 * full).contains(&all), "{full} {all}");
    place.assert_clean();
}

#[test]
fn a_binary_log_restores_to_a_point_in_time_and_nothing_after_it() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let variants = "[[variants]]\nstrategy = \"mysql-binlog\"\nsettings = { seconds_before_disaster = 2 }\n";
    let scenario = place.scenario(&on(MYSQL), variants);
    let longer =
        std::fs::read_to_string(&scenario).unwrap().replace("tail_seconds = 0.5", "tail_seconds = 5.0");
    std::fs::write(&scenario, longer).unwrap();
    let output = place.run_scenario(&scenario);
    let results = place.results();
    assert_eq!(results.trials[0].verdict, Verdict::Restorable, "{}", text(&output));
    let point = results.trials[0].recovery_point.as_ref().unwrap();
    // 40 writes a second, and two to three seconds that are left out on purpose.
    assert!(point.lost_writes > 40 && point.lost_seconds > Some(1.9), "{point:?}");
    place.assert_clean();
}

#[test]
fn every_sqlite_strategy_restores_a_tracker_or_says_why_not() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let (variants, count) = variants_for("sqlite");
    let output = place.run_scenario(&place.scenario(&on(TRACKER_ON_SQLITE), &variants));
    let results = place.results();
    assert_eq!(results.trials.len(), count, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        // With a busy tracker in delete mode, SQLite's own programs may be blocked for longer than their timeout.
        let gives_up = ["sqlite-cli-backup", "sqlite3-rsync"].contains(&trial.strategy.as_str());
        if gives_up && trial.verdict != Verdict::Restorable {
            assert!([Verdict::Failed, Verdict::Stalled].contains(&trial.verdict), "{}", trial.reason);
            continue;
        }
        assert_restorable(trial);
        if let Some(point) = &trial.recovery_point {
            assert!(point.never_written.is_some(), "{}", trial.id);
        }
    }
    let cold = trial(&results, "cold-copy").impact.as_ref().unwrap();
    assert!(cold.downtime_seconds > Some(0.0), "{cold:?}");
    place.assert_clean();
}

#[test]
fn every_mysql_strategy_restores_a_tracker_or_says_why_not() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let (variants, count) = variants_for("mysql");
    let output = place.run_scenario(&place.scenario(&on(TRACKER_ON_MYSQL), &variants));
    let results = place.results();
    assert_eq!(results.trials.len(), count, "{}", text(&output));
    for trial in results.trials.iter().filter(|trial| !trial.control) {
        assert_restorable(trial);
    }
    place.assert_clean();
}

/// A slowed down copy of a live data directory is corrupt, whether the server starts on it or not.
#[test]
fn an_unsafe_copy_of_a_live_data_directory_is_found() {
    if without_docker() {
        return;
    }
    for subject in [MYSQL, MARIADB] {
        let place = Place::shared().with_datasets_of_servers();
        let variants = "[[variants]]\nstrategy = \"hot-copy\"\nsettings = { seconds_min = 6.0 }\n";
        let extra = on(subject).replace("[40]", "[300]\nwriters = 2");
        let output = place.run_scenario(&place.scenario(&extra, variants));
        let trial = &place.results().trials[0];
        assert_eq!(trial.verdict, Verdict::Corrupt, "{}: {}", trial.reason, text(&output));
        assert_eq!(output.status.code(), Some(0));
        place.assert_clean();
    }
}

/// The output of a run that cannot begin: one error, and nothing is left behind.
fn refused(subject: &str) -> String {
    let place = Place::shared().with_datasets_of_servers();
    let output = place.run_scenario(&place.scenario(&on(subject), COLD));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    place.assert_clean();
    said
}

/// Why a trial is inconclusive because its server did not start; nothing is left behind.
fn inconclusive(subject: &str) -> String {
    let place = Place::shared().with_datasets_of_servers();
    let output = place.run_scenario(&place.scenario(&on(subject), COLD));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let trial = place.results().trials.remove(0);
    assert_eq!(trial.verdict, Verdict::Unverified);
    assert_eq!(trial.workload.offered_writes_per_second, None, "nothing was due");
    place.assert_clean();
    trial.reason
}

#[test]
fn an_image_that_cannot_be_pulled() {
    if without_docker() {
        return;
    }
    let said = refused(&format!("{MYSQL}\nimages = {{ mysql = \"no-such-registry.invalid/mysql:0\" }}"));
    assert!(said.contains("no-such-registry.invalid/mysql:0"), "{said}");
}

#[test]
fn a_port_that_is_taken() {
    if without_docker() {
        return;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = inconclusive(&format!("{MYSQL}\nport = {port}"));
    assert!(said.contains(&format!("port {port} on 127.0.0.1 is in use")), "{said}");
}

#[test]
fn a_server_that_does_not_start() {
    if without_docker() {
        return;
    }
    let said = inconclusive(&format!("{MYSQL}\nmysql_options = {{ no_such_option = 1 }}"));
    assert!(said.contains("MySQL server") && said.contains("no_such_option"), "{said}");
}

/// Starts a run on MySQL with a long reference window, and waits until its writers write.
fn started(place: &Place) -> Child {
    let scenario = place.scenario(&on(MYSQL), "[[variants]]\nstrategy = \"mysql-clone\"\n");
    let text = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(&scenario, text.replace("reference_seconds = 0.5", "reference_seconds = 8.0")).unwrap();
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let give_up = Instant::now() + Duration::from_secs(120);
    let writes = || {
        let work = std::fs::read_dir(place.path().join("work")).into_iter().flatten().flatten();
        work.map(|run| run.path().join("trial-1/ledger/writer-0000.ledger")).any(|ledger| ledger.exists())
    };
    while !writes() {
        assert!(
            Instant::now() < give_up && child.try_wait().unwrap().is_none(),
            "the run did not get that far"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    child
}

/// The processes of MySQL servers of a run in this place.
fn servers(place: &Place) -> Vec<Pid> {
    let mark = place.path().canonicalize().unwrap().display().to_string();
    let is_ours = |process: &procfs::process::Process| {
        let mounts =
            std::fs::read_to_string(format!("/proc/{}/mountinfo", process.pid())).unwrap_or_default();
        process.stat().is_ok_and(|stat| stat.comm == "mysqld" && stat.state != 'Z') && mounts.contains(&mark)
    };
    let processes = procfs::process::all_processes().unwrap().flatten();
    processes.filter(is_ours).map(|process| Pid::from_raw(process.pid())).collect()
}

#[test]
fn a_container_that_dies_is_reported() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let mut child = started(&place);
    let [server] = servers(&place)[..] else { panic!("one server runs") };
    kill(server, Signal::SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let trial = &place.results().trials[0];
    assert_eq!(trial.verdict, Verdict::Unverified);
    assert!(trial.reason.contains("'reference': the MySQL server ended"), "{}", trial.reason);
    place.assert_clean();
}

#[test]
fn containers_end_with_an_interrupted_run_and_are_swept_after_a_killed_one() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let mut child = started(&place);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(servers(&place).is_empty());
    place.assert_clean();

    let mut child = started(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(servers(&place).len(), 1, "a container does not die with the process that started it");
    let output = place.run(&["clean"]);
    assert!(text(&output).contains("cleaned up after 1 killed run(s)"), "{}", text(&output));
    assert!(servers(&place).is_empty());
    place.assert_clean();
}
