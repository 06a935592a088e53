//! A strategy is not blamed for errors of the machine, of the scenario, or of the harness's own load.

use machine::file_system::FileSystem;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use reports::record::Verdict;

use super::file_systems::can_make;
use super::*;

/// A file system in memory, mounted until this value is dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(place: &Place, options: &str) -> Disk {
        let point = place.path().join("disk");
        std::fs::create_dir_all(&point).unwrap();
        mount(Some("none"), &point, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        Disk(point)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Runs these commands on a small file system in memory. Returns the exit code and the only trial.
fn run_on_a_small_disk(place: &Place, backup: &str, rate: &str) -> Option<(Option<i32>, Trial)> {
    if !can_make(FileSystem::Btrfs, place) {
        return None;
    }
    let disk = Disk::new(place, "size=120M");
    let variants = format!(
        r#"
        [[variants]]
        strategy = "external"
        [variants.settings]
        backup = """{backup}"""
        restore = 'cp "$DRILL_ARTIFACT/copy.db" "$DRILL_TARGET"'
        "#
    );
    let extra = format!(
        "[dataset]\nsizes = [\"1MiB\"]\n[workload]\nrates = [{rate}]\nwriters = 4\nerrors_allowed = 1.0"
    );
    let (scenario, drill) = (place.scenario(&extra, &variants), disk.0.join("drill"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    command.args(["run", scenario.to_str().unwrap(), "--dir", drill.to_str().unwrap()]);
    let output = command.env("FILLER", disk.0.join("filler")).stdin(Stdio::null()).output().unwrap();
    let results = Results::load(&drill.join("latest/results.json"));
    let mut results = results.unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    Some((output.status.code(), results.trials.pop().unwrap_or_else(|| panic!("{}", text(&output)))))
}

/// Fills the disk for long enough that the application attempts many writes.
const FILL: &str = r#"cat /dev/zero > "$FILLER" 2> /dev/null; sleep 2"#;
const COPY: &str = r#"sqlite3 "$DRILL_SOURCE" ".timeout 5000" "VACUUM INTO '$DRILL_DESTINATION/copy.db'""#;

#[test]
fn a_disk_that_is_full_for_a_while_refuses_writes_and_nothing_else() {
    let place = Place::shared();
    for rate in ["400", "\"closed\""] {
        let backup = format!("{FILL}; rm \"$FILLER\"; {COPY}").replace('"', "\\\"");
        let Some((code, trial)) = run_on_a_small_disk(&place, &backup, rate) else { return };
        assert_eq!((code, trial.verdict), (Some(0), Verdict::Restorable), "{}", trial.reason);
        let impact = trial.impact.unwrap();
        assert!(impact.during.unwrap().errors > 0, "no write was refused");
    }
}

#[test]
fn a_disk_that_stays_full_is_the_strategys_failure_and_its_record_is_saved() {
    let place = Place::shared();
    let backup = format!("{FILL}; {COPY}").replace('"', "\\\"");
    let Some((code, trial)) = run_on_a_small_disk(&place, &backup, "400") else { return };
    assert_eq!((code, trial.verdict), (Some(1), Verdict::Failed), "{}", trial.reason);
    assert!(trial.reason.contains("database or disk is full"), "{}", trial.reason);
}

const TWO: &str = r#"
    [[variants]]
    strategy = "cold-copy"
    [[variants]]
    strategy = "sqlite-vacuum-into"
"#;

#[test]
fn writers_that_find_no_file_descriptor_end_each_trial_at_once_with_the_cause() {
    let place = Place::shared();
    let extra = "[dataset]\nsizes = [\"16MiB\"]\n[workload]\nrates = [50]\nwriters = 64";
    let scenario = place.scenario(extra, TWO);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 128; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_backup-drill"), "run"]);
    let output = command.arg(scenario).arg("--dir").arg(place.path()).stdin(Stdio::null()).output().unwrap();
    let results = place.results();
    assert_eq!((output.status.code(), results.trials.len()), (Some(3), 2), "{}", text(&output));
    for trial in &results.trials {
        assert_eq!(trial.verdict, Verdict::Unverified);
        let of_64 = " of 64 cannot start: ";
        assert!(trial.reason.starts_with("in the phase 'provision': writer "), "{}", trial.reason);
        assert!(trial.reason.contains(of_64), "{}", trial.reason);
        assert!(trial.reason.contains(" of 128 file descriptors are in use: "), "{}", trial.reason);
    }
    place.assert_clean();
}

#[test]
fn a_soft_limit_of_file_descriptors_is_raised() {
    let place = Place::shared();
    let extra = "[dataset]\nsizes = [\"16MiB\"]\n[workload]\nrates = [50]\nwriters = 64";
    let scenario = place.scenario(extra, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_backup-drill"), "run"]);
    let output = command.arg(scenario).arg("--dir").arg(place.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(place.results().trials[0].verdict, Verdict::Restorable, "{}", text(&output));
}

#[test]
fn writers_that_find_no_connection_end_the_trial_at_once_with_the_cause() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let extra = r#"
        [subject]
        engines = ["mysql"]
        mysql_options = { max_connections = 5 }
        [dataset]
        sizes = ["4MiB"]
        [workload]
        rates = [10]
        writers = 16
    "#;
    let output = place.run_scenario(&place.scenario(extra, "[[variants]]\nstrategy = \"cold-copy\"\n"));
    let results = place.results();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let trial = &results.trials[0];
    assert_eq!(trial.verdict, Verdict::Unverified);
    assert!(
        trial.reason.contains(" of 16 cannot start: all connections of the MySQL server"),
        "{}",
        trial.reason
    );
    place.assert_clean();
}

#[test]
fn an_application_that_was_stopped_answers_before_its_own_writers_begin() {
    let place = Place::shared();
    let extra = r#"
        [subject]
        journal_modes = ["wal", "delete"]
        synchronous = "normal"
        [dataset]
        sizes = ["2MiB"]
        [workload]
        rates = ["closed"]
        writers = 4
        rows_per_transaction = 3
        multi_row_share = 0.5
        errors_allowed = 0.5
    "#;
    let scenario = place.scenario(extra, "[[variants]]\nstrategy = \"cold-copy\"\n");
    let output = place.run(&["run", scenario.to_str().unwrap(), "--repetitions", "4"]);
    let results = place.results();
    assert_eq!(results.trials.len(), 8, "{}", text(&output));
    for trial in &results.trials {
        assert_eq!(trial.verdict, Verdict::Restorable, "{}: {}", trial.id, trial.reason);
    }
}

#[test]
fn a_command_that_cannot_be_executed_has_failed_and_the_run_goes_on() {
    let place = Place::shared();
    let script = place.path().join("no-program");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let variants = r#"
        [[variants]]
        strategy = "external"
        settings = { backup = ["./no-program"], restore = "true" }
        [[variants]]
        strategy = "cold-copy"
    "#;
    let output = place.run_scenario(&place.scenario(SMALL, variants));
    let results = place.results();
    assert_eq!((output.status.code(), results.trials.len()), (Some(1), 2), "{}", text(&output));
    let failed = trial(&results, "external");
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(
        failed.reason.starts_with("backup: cannot start 'no-program': the interpreter or loader of "),
        "{}",
        failed.reason
    );
    assert_eq!(trial(&results, "cold-copy").verdict, Verdict::Restorable);
}
