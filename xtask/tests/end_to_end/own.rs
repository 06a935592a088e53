//! Users' own commands, and users' own databases.

use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use engines::images::{self, TOOLS};
use machine::process::{Cancel, Launcher};
use reports::record::{Check, Verdict};
use rusqlite::Connection;

use super::containers::{MYSQL, on};
use super::every_strategy::assert_restorable;
use super::*;

/// A vacuumed copy of the live file.
const COPY: &str = r#"sqlite3 "$DRILL_SOURCE" ".timeout 10000" "VACUUM INTO '$DRILL_DESTINATION/copy'""#;
const BACK: &str = r#"cp "$DRILL_ARTIFACT/copy" "$DRILL_TARGET""#;

/// A variant of `external` with shell commands, and `more` settings.
pub(super) fn external(name: &str, backup: &str, restore: &str, more: &str) -> String {
    format!(
        "[[variants]]\nname = '{name}'\nstrategy = 'external'\n[variants.settings]\nbackup = '''{backup}'''\n\
         restore = '''{restore}'''\n{more}\n"
    )
}

/// Runs these variants on a small database.
fn run_variants(place: &Place, variants: &str) -> (Output, Results) {
    let output = place.run_scenario(&place.scenario(SMALL, variants));
    (output, place.results())
}

fn write_script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_users_own_script_goes_through_the_same_trial() {
    let place = Place::shared();
    let script = format!(
        "#!/bin/sh\nset -eu\necho \"$DRILL_ENGINE in $PWD\"\necho '{{\"error\":\"a line and no message\"}}'\n\
         if [ \"$1\" = backup ]; then {COPY}; echo backed up; else {BACK}; echo brought back; fi\n"
    );
    write_script(&place.path().join("my-backup.sh"), &script);
    let variants = "[[variants]]\nname = 'my script'\nstrategy = 'external'\n[variants.settings]\n\
                    backup = ['./my-backup.sh', 'backup']\nrestore = ['./my-backup.sh', 'restore']\n";
    let extra = format!("[subject]\njournal_modes = [\"wal\", \"delete\"]\n{SMALL}");
    let output = place.run_scenario(&place.scenario(&extra, variants));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = place.results();
    for (trial, mode) in results.trials.iter().zip(["wal", "delete"]) {
        assert_restorable(trial);
        assert_eq!(trial.id, format!("external:my script/{mode}/4MiB/40/1"));
        assert_eq!((trial.variant.as_str(), trial.control), ("my script", false));
        assert!(trial.promise.starts_with("as the scenario declares"), "{}", trial.promise);
        let here = place.path().canonicalize().unwrap();
        let said =
            |last| format!("sqlite in {}\n{{\"error\":\"a line and no message\"}}\n{last}", here.display());
        assert_eq!(trial.backup.as_ref().unwrap().output, Some(said("backed up")));
        assert_eq!(trial.restore.as_ref().unwrap().output, Some(said("brought back")));
    }
    place.assert_clean();
}

#[test]
fn wrong_commands_that_exit_with_0_get_the_right_verdict() {
    let place = Place::shared();
    let half = format!("{COPY}; truncate --size 1000000 \"$DRILL_DESTINATION/copy\"");
    // The cached dataset is the database before any write.
    let stale = "cp cache/torrust-demo-*/database.sqlite \"$DRILL_DESTINATION/copy\"";
    let variants = [
        external("nothing", "true", BACK, ""),
        external("nothing at all", "true", "true", ""),
        external("truncated", &half, BACK, ""),
        external("stale", stale, BACK, ""),
        external("stale as promised", stale, BACK, "promise = { all_but_seconds = 3600.0 }"),
        external("stale control", stale, BACK, "promise = 'nothing'"),
        external(
            "pipe",
            "false | gzip > \"$DRILL_DESTINATION/copy\"",
            "gunzip -c \"$DRILL_ARTIFACT/copy\" > \"$DRILL_TARGET\"",
            "",
        ),
    ];
    let (output, results) = run_variants(&place, &variants.concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for (name, verdict, reason) in [
        ("nothing", Verdict::Failed, "restore: 'sh' ended with exit status: 1: cp: cannot stat"),
        (
            "nothing at all",
            Verdict::Corrupt,
            "the strategy reported success, but no database file was restored",
        ),
        ("truncated", Verdict::Corrupt, "the strategy reported success, but these checks failed: integrity"),
        ("stale", Verdict::Lossy, "was promised to be kept but is missing"),
        ("stale as promised", Verdict::Restorable, ""),
        ("stale control", Verdict::Restorable, ""),
        ("pipe", Verdict::Corrupt, "the strategy reported success"),
    ] {
        let trial = trial(&results, &format!("external:{name}/"));
        assert_eq!(trial.verdict, verdict, "{name}: {}", trial.reason);
        assert!(trial.reason.contains(reason), "{name}: {}", trial.reason);
        assert_eq!(trial.control, name == "stale control", "{name}");
    }
    let nothing = trial(&results, "external:nothing/").backup.as_ref().unwrap();
    assert_eq!(nothing.artifact_bytes, Some(0));
    place.assert_clean();
}

#[test]
fn an_armed_command_replicates_until_the_disaster() {
    let place = Place::shared();
    let ship = r#"while :; do
        sqlite3 "$DRILL_SOURCE" ".timeout 5000" "VACUUM INTO '$DRILL_DESTINATION/next'"
        mv -f "$DRILL_DESTINATION/next" "$DRILL_DESTINATION/copy"; echo shipped; sleep 0.1
    done"#;
    let wait = r#"until [ -e "$DRILL_DESTINATION/copy" ]; do sleep 0.05; done; echo "it is there""#;
    let variants = [
        external(
            "shipper",
            wait,
            BACK,
            &format!("arm = '''{ship}'''\npromise = {{ all_but_seconds = 30.0 }}"),
        ),
        external("quitter", "sleep 0.2", BACK, "arm = 'echo no more; exit 0'"),
    ];
    let (output, results) = run_variants(&place, &variants.concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let shipper = trial(&results, "shipper");
    assert_eq!(shipper.verdict, Verdict::Restorable, "{}", shipper.reason);
    let said = shipper.backup.as_ref().unwrap().output.as_ref().unwrap();
    assert!(said.starts_with("it is there\nshipped"), "{said}");
    let quitter = trial(&results, "quitter");
    assert_eq!(quitter.verdict, Verdict::Failed, "{}", quitter.reason);
    let reason = "the 'arm' command exited before the disaster; last output: no more";
    assert!(quitter.reason.contains(reason), "{}", quitter.reason);
    place.assert_clean();
}

#[test]
fn background_processes_of_a_command_end_with_the_disaster() {
    let place = Place::shared();
    // Even a process in another session: it would copy only after the disaster.
    let late = "setsid sh -c 'sleep 1; cp cache/torrust-demo-*/database.sqlite \"$DRILL_DESTINATION/copy\"' \
                >/dev/null 2>&1 &";
    let variants = external("late", late, &format!("sleep 2; {BACK}"), "");
    let (_, results) = run_variants(&place, &variants);
    let trial = &results.trials[0];
    assert_eq!(trial.verdict, Verdict::Failed, "{}", trial.reason);
    assert!(trial.reason.contains("cannot stat"), "{}", trial.reason);
    place.assert_clean();
}

#[test]
fn a_command_has_ended_even_when_a_background_process_holds_its_output_open() {
    let place = Place::shared();
    let backup = r#"sleep 600 & echo begun; sqlite3 "$DRILL_SOURCE" "VACUUM INTO '$DRILL_DESTINATION/copy'""#;
    let (_, results) = run_variants(&place, &external("daemon", backup, BACK, ""));
    let trial = &results.trials[0];
    assert_eq!(trial.verdict, Verdict::Restorable, "{}", trial.reason);
    assert_eq!(trial.backup.as_ref().unwrap().output.as_deref(), Some("begun"));
    place.assert_clean();
}

#[test]
fn a_missing_command_is_reported_before_anything_happens() {
    let place = Place::shared();
    let words =
        "[[variants]]\nstrategy = 'external'\nsettings = { backup = ['./no-such.sh'], restore = 'true' }\n";
    let scenario = place.scenario(SMALL, words);
    let output = place.run_scenario(&scenario);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(!place.path().join("latest").exists(), "a refused run has no effect");
    insta::assert_snapshot!(
        String::from_utf8_lossy(&output.stderr).trim_end(),
        @"error: scenario 'small': variant 1 (external): settings.backup: ./no-such.sh: No such file or directory (os error 2); paths are relative to the scenario's directory"
    );
    let on_path = words.replace("./no-such.sh", "no-such-command-anywhere");
    let (output, results) = run_variants(&place, &on_path);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert_eq!(results.trials[0].verdict, Verdict::Unavailable);
    insta::assert_snapshot!(
        results.trials[0].reason,
        @"the scenario's command 'no-such-command-anywhere' is not on PATH"
    );
    place.assert_clean();
}

#[test]
fn the_example_of_the_guide_does_what_the_guide_says() {
    let place = Place::shared();
    let output = place.run(&["run", "external", "--size", "4MiB", "--repetitions", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = place.results();
    assert_restorable(trial(&results, "external:backup.sh/"));
    assert_restorable(trial(&results, "external:dump in a pipe/"));
    let said = trial(&results, "external:backup.sh/").backup.as_ref().unwrap().output.clone().unwrap();
    assert!(said.contains("copy.sqlite.gz"), "{said}");
    place.assert_clean();
}

#[test]
fn commands_of_the_users_own_reach_a_mysql_server() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let launcher = Launcher::new(place.path(), &Cancel::default());
    let tools = images::obtain(&TOOLS, None, &launcher, &|_| {}).unwrap().reference;
    let client = format!(
        "docker run --rm --interactive --network host --volume \"$DRILL_MYSQL_DEFAULTS_FILE:/options.cnf:ro\" {tools}"
    );
    let dump = format!(
        "{client} mysqldump --defaults-extra-file=/options.cnf --single-transaction --set-gtid-purged=OFF \
         \"$DRILL_MYSQL_DATABASE\" > \"$DRILL_DESTINATION/dump.sql\"; echo \"$DRILL_ENGINE on $DRILL_MYSQL_HOST\""
    );
    let load = format!(
        "{client} mysql --defaults-extra-file=/options.cnf \"$DRILL_MYSQL_DATABASE\" < \"$DRILL_ARTIFACT/dump.sql\""
    );
    let into_place = "restore_into = 'data_directory'\npromise = 'nothing'";
    let variants = [
        external("dump", &dump, &load, ""),
        // A copy of a live directory, so any verdict is possible; the test checks only that it reaches its destination.
        external(
            "directory",
            "cp -a \"$DRILL_SOURCE\" \"$DRILL_DESTINATION/data\"",
            "cp -a \"$DRILL_ARTIFACT/data\" \"$DRILL_TARGET\"; echo \"${DRILL_MYSQL_PORT-no server}\"",
            into_place,
        ),
        external("empty", "true", "true", ""),
    ];
    let output = place.run_scenario(&place.scenario(&on(MYSQL), &variants.concat()));
    let results = place.results();
    let dump = trial(&results, "external:dump/");
    assert_restorable(dump);
    assert_eq!(dump.backup.as_ref().unwrap().output.as_deref(), Some("mysql on 127.0.0.1"));
    let directory = trial(&results, "external:directory/");
    assert!(directory.control, "{}", text(&output));
    assert_eq!(
        directory.restore.as_ref().unwrap().output.as_deref(),
        Some("no server"),
        "{}",
        directory.reason
    );
    let empty = trial(&results, "external:empty/");
    assert_eq!(empty.verdict, Verdict::Corrupt, "{}", empty.reason);
    let said = std::fs::read_to_string(place.path().join("latest/results.json")).unwrap();
    assert!(!said.contains("password"), "{said}");
    place.assert_clean();
}

#[test]
fn a_selective_backup_is_small_and_lacks_only_what_it_leaves_out() {
    let place = Place::shared();
    let variants = "[[variants]]\nstrategy = 'selective'\n[[variants]]\nstrategy = 'sqlite-dump'\n";
    let (output, results) = run_variants(&place, variants);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let bytes = |part| trial(&results, part).backup.as_ref().unwrap().artifact_bytes.unwrap();
    assert!(
        bytes("selective") * 10 < bytes("sqlite-dump"),
        "{} {}",
        bytes("selective"),
        bytes("sqlite-dump")
    );
    let selective = trial(&results, "selective");
    assert_restorable(selective);
    assert_eq!(selective.verification.as_ref().unwrap().content, Some(Check::Pass));
    place.assert_clean();
}

/// A database with unusual schema elements, and with tables named like those of the tracker.
const ODD: &str = r#"
    PRAGMA page_size = 1024;
    CREATE TABLE torrents (info_hash BLOB, name TEXT);
    CREATE TABLE pairs (k TEXT, v BLOB, PRIMARY KEY (k)) WITHOUT ROWID;
    CREATE TABLE "made of, parts" (w INTEGER, h INTEGER, area INTEGER GENERATED ALWAYS AS (w * h) STORED);
    CREATE INDEX areas ON "made of, parts" (area) WHERE area > 10;
    CREATE VIRTUAL TABLE words USING fts5(text);
    CREATE VIEW large AS SELECT * FROM "made of, parts" WHERE area > 10;
    CREATE TRIGGER kept AFTER DELETE ON pairs BEGIN INSERT INTO torrents VALUES (x'00', 'gone'); END;
    WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO pairs SELECT printf('key %d', i), randomblob(200) FROM n;
    INSERT INTO "made of, parts" (w, h) VALUES (2, 3), (40, 50);
    INSERT INTO words VALUES ('what was never restored was never backed up');
    PRAGMA user_version = 7;
"#;

/// The files of a directory with their content and times.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.clone(), std::fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_users_own_database_with_any_schema_is_tested_on_a_copy() {
    let place = Place::shared();
    let own = place.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let file = own.join("my.db");
    Connection::open(&file).unwrap().execute_batch(ODD).unwrap();
    let before = files(&own);
    let forget =
        format!("{COPY}; sqlite3 \"$DRILL_DESTINATION/copy\" \"DELETE FROM pairs WHERE k = 'key 17'\"");
    let variants = [
        "[[variants]]\nstrategy = 'cold-copy'\nexpect = ['stalled']\n".to_owned(),
        "[[variants]]\nstrategy = 'sqlite-vacuum-into'\n".to_owned(),
        "[[variants]]\nstrategy = 'selective'\n".to_owned(),
        external("forgets a row", &forget, BACK, ""),
    ];
    let scenario = place.scenario(SMALL, &variants.concat());
    let words = ["run", scenario.to_str().unwrap(), "--database", file.to_str().unwrap()];
    let output = place.run(&words);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let results = place.results();
    for part in ["cold-copy", "sqlite-vacuum-into"] {
        let trial = trial(&results, part);
        assert_restorable(trial);
        assert_eq!(trial.dataset.profile, "own-database");
        assert_eq!(trial.dataset.target_bytes, before[0].1.len() as u64);
        assert!(trial.dataset.rows > 5000 && trial.dataset.bytes > trial.dataset.target_bytes);
    }
    let selective = trial(&results, "selective");
    assert_eq!(selective.verdict, Verdict::Unavailable, "{}", selective.reason);
    let forgetful = trial(&results, "forgets a row");
    assert_eq!(forgetful.verdict, Verdict::Corrupt, "{}", forgetful.reason);
    assert!(forgetful.reason.contains("table pairs: 5000 rows"), "{}", forgetful.reason);
    assert_eq!(files(&own), before, "the original was touched");
    place.assert_clean();
}

#[test]
fn an_unusable_database_or_an_unsuitable_scenario_is_refused() {
    let place = Place::shared();
    let file = place.path().join("my.db");
    std::fs::write(&file, "no database at all, just text").unwrap();
    let refusal = |scenario: &Path| {
        let output = place.run(&["run", scenario.to_str().unwrap(), "--database", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
        error.replace(&place.path().display().to_string(), "PLACE")
    };
    let cold = "[[variants]]\nstrategy = 'cold-copy'\n";
    let scenario = place.scenario(SMALL, cold);
    let no_database = refusal(&scenario);
    Connection::open(place.path().join("real.db")).unwrap().execute_batch(ODD).unwrap();
    std::fs::rename(place.path().join("real.db"), &file).unwrap();
    let on_mysql = refusal(&place.scenario(&on(MYSQL), cold));
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE backup_drill_metrics (x)").unwrap();
    let twice = refusal(&place.scenario(SMALL, cold));
    insta::assert_snapshot!([no_database, on_mysql, twice].join("\n"), @r#"
    error: cannot use PLACE/my.db as a database: not a SQLite database: bad file header
    error: scenario 'small' cannot be used with your own database: choose a scenario with engines = ["sqlite"] and apps = ["embedded"], such as 'quick'
    error: cannot use PLACE/my.db: it already has a table backup_drill_metrics, so it seems to be the result of a trial: use the original database
    "#);
    place.assert_clean();
}

#[test]
fn silence_is_no_stall_and_restarting_again_and_again_is_one_wherever_it_writes() {
    let place = Place::new();
    let elsewhere =
        r#"set -e; place=$(mktemp -d -p .); sqlite3 "$DRILL_SOURCE" ".timeout 5000" ".backup '$place/copy'""#;
    let variants = [
        external("waits", &format!("sleep 4; {COPY}"), BACK, ""),
        external("restarts", elsewhere, BACK, "").replace("[variants.", "expect = ['stalled']\n[variants."),
    ];
    let busy = "[dataset]\nsizes = ['64MiB']\n[workload]\nrates = [400]\n";
    let scenario = place.scenario(busy, &variants.concat());
    let text_of = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(&scenario, text_of.replace("stall_seconds_min = 10.0", "stall_seconds_min = 2.0"))
        .unwrap();
    let output = place.run_scenario(&scenario);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = place.results();
    assert_restorable(trial(&results, "external:waits/"));
    let restarts = trial(&results, "external:restarts/");
    assert!(restarts.reason.contains("of its own output (trial.stall_"), "{}", restarts.reason);
    place.assert_clean();
}

#[test]
fn a_copy_that_was_right_by_luck_says_that_nothing_challenged_it() {
    let place = Place::new();
    // A common recommendation: run a checkpoint, then copy the database file. Nothing prevents the next checkpoint.
    let fold = r#"sqlite3 "$DRILL_SOURCE" ".timeout 5000" "PRAGMA wal_checkpoint(TRUNCATE)""#;
    let quick = r#"cp "$DRILL_SOURCE" "$DRILL_DESTINATION/copy""#;
    let slow = r#"for part in 0 1 2 3 4 5 6 7; do
        dd if="$DRILL_SOURCE" of="$DRILL_DESTINATION/copy" bs=512K skip=$part seek=$part count=1 conv=notrunc status=none
        sleep 0.25
    done"#;
    let trials = |subject: &str, copy: &str| {
        let scenario = place.scenario(
            &format!("[subject]\n{subject}\n{SMALL}"),
            &external("fold and copy", &format!("{fold}; {copy}"), BACK, "promise = 'nothing'"),
        );
        let output = place.run_scenario(&scenario);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let trial = place.results().trials.remove(0);
        let challenge = trial.backup.as_ref().unwrap().challenge.clone().unwrap();
        let report = std::fs::read_to_string(place.path().join("latest/report.md")).unwrap();
        (trial, challenge, report)
    };
    // About 160 pages a second: the next checkpoint runs after six seconds.
    let (lucky, challenge, report) = trials("", quick);
    assert_eq!(lucky.verdict, Verdict::Restorable, "{}", lucky.reason);
    assert!(!challenge.challenged && challenge.checkpoints == Some(0), "{challenge:?}");
    assert!(report.contains("restorable, not challenged"), "{report}");
    let (_, challenge, report) = trials("wal_autocheckpoint = 5", slow);
    assert!(challenge.challenged && challenge.commits > 10, "{challenge:?}");
    assert!(challenge.checkpoints > Some(5) && challenge.log_resets > Some(5), "{challenge:?}");
    assert!(!report.contains("restorable, not challenged"), "{report}");
    place.assert_clean();
}
