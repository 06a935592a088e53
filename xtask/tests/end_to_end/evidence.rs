//! What remains of a trial: kept evidence, verdicts from it, and files that cannot be removed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use machine::file_system::FileSystem;
use nix::unistd::{Uid, chown};
use reports::record::Verdict;

use super::containers::{MYSQL, on};
use super::file_systems::place_for;
use super::*;

/// A vacuumed copy of the live file, and its restore.
const COPY: &str = r#"sqlite3 "$DRILL_SOURCE" ".timeout 10000" "VACUUM INTO '$DRILL_DESTINATION/copy'""#;
const BACK: &str = r#"cp "$DRILL_ARTIFACT/copy" "$DRILL_TARGET""#;

/// A variant of `external`.
fn external(name: &str, backup: &str) -> String {
    format!(
        "[[variants]]\nname = '{name}'\nstrategy = 'external'\n[variants.settings]\nbackup = '''{backup}'''\n\
         restore = '''{BACK}'''\n"
    )
}

fn truncated() -> String {
    external("truncated", &format!("{COPY}; truncate --size 1000000 \"$DRILL_DESTINATION/copy\""))
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

impl Place {
    /// The directory with the kept evidence of a trial.
    fn kept(&self, part: &str) -> PathBuf {
        let kept = trial(&self.results(), part).kept.clone().unwrap();
        self.path().join("latest").join(kept.path.unwrap())
    }
}

#[test]
fn the_evidence_of_trials_that_fell_short_is_kept_and_judged_again() {
    let place = Place::shared();
    let cold = "[[variants]]\nstrategy = 'cold-copy'\n";
    let scenario = place.scenario(SMALL, &[&truncated(), &external("nothing", "true"), cold].concat());
    let output = place.run_scenario(&scenario);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    place.assert_clean();
    let results = place.results();
    assert_eq!(trial(&results, "cold-copy").kept, None);
    let kept = place.kept("external:truncated/");
    for part in ["ledger/writer-0000.ledger", "restored/database.sqlite", "artifact/copy", "evidence.json"] {
        assert!(kept.join(part).is_file(), "{part} was not kept");
    }
    assert!(place.kept("external:nothing/").join("ledger/writer-0000.ledger").is_file());
    let record = trial(&results, "external:truncated/").kept.clone().unwrap();
    assert!(record.bytes >= 2_000_000 && record.left_out.is_empty(), "{record:?}");
    let report = std::fs::read_to_string(place.path().join("latest/report.md")).unwrap();
    assert!(report.contains("`kept/external_truncated_wal_4MiB_40_1`"), "{report}");

    let before = content(&place.path().join("latest/kept"));
    let output = place.run(&["judge"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let reason = &trial(&results, "external:truncated/").reason;
    assert!(
        said.contains(&format!("now   corrupt: {reason}")) && said.contains("the verdict is the same"),
        "{said}"
    );
    assert!(
        said.contains("cannot be judged again: there was nothing to verify: restore: 'sh' ended"),
        "{said}"
    );
    assert_eq!(content(&place.path().join("latest/kept")), before, "the evidence is as it was");
    place.assert_clean();
}

#[test]
fn a_verdict_follows_from_the_evidence_and_what_is_no_evidence_is_refused() {
    let place = Place::shared();
    let scenario =
        place.scenario(SMALL, "[[variants]]\nstrategy = 'cold-copy'\n[[variants]]\nstrategy = 'hot-copy'\n");
    let output = place.run(&["run", scenario.to_str().unwrap(), "--keep", "all"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let kept = place.kept("cold-copy");
    let judge = |expected: i32, part: &str| {
        let results = place.path().join("latest/results.json");
        let output = place.run(&["judge", results.to_str().unwrap(), "cold-copy"]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(expected), "{said}");
        assert!(said.contains(part), "'{part}' is not in: {said}");
    };
    judge(0, "now   restorable: all checks passed");

    // A page of zeros in the middle, so that the verdict differs from the recorded one.
    let database = kept.join("restored/database.sqlite");
    let right = std::fs::read(&database).unwrap();
    let mut wrong = right.clone();
    wrong[40 * 4096..41 * 4096].fill(0);
    std::fs::write(&database, wrong).unwrap();
    judge(1, "THE VERDICT DIFFERS: it was restorable and is now corrupt");
    std::fs::write(&database, right).unwrap();

    let file = kept.join("evidence.json");
    let evidence = std::fs::read_to_string(&file).unwrap();
    let with = |change: &dyn Fn(&str) -> String| std::fs::write(&file, change(&evidence)).unwrap();
    with(&|text| text[..text.len() / 2].to_owned());
    judge(2, "not a file of kept evidence: EOF");
    with(&|text| text.replace("drill-evidence/1", "drill-evidence/9"));
    judge(2, "its format is 'drill-evidence/9', but this version reads 'drill-evidence/1'");
    with(&|text| text.replace("\"disaster_ns\"", "\"disaster\""));
    judge(2, "its request cannot be read by this version");
    std::fs::copy(place.kept("hot-copy").join("evidence.json"), &file).unwrap();
    judge(2, "it belongs to the trial 'hot-copy/wal/4MiB/40/1'");

    let output = place.run(&["clean"]);
    assert!(text(&output).contains("of kept evidence not removed"), "{}", text(&output));
    assert!(kept.exists());
    assert_eq!(place.run(&["clean", "--kept"]).status.code(), Some(0));
    assert!(!place.path().join("latest/kept").exists());
    judge(0, "cannot be judged again: its evidence is no longer in");
    place.assert_clean();
}

#[test]
fn what_does_not_fit_is_not_kept_and_that_is_told() {
    let place = Place::shared();
    let scenario = place.scenario(&SMALL.replace("4MiB", "16MiB"), "[[variants]]\nstrategy = 'cold-copy'\n");
    let scenario = scenario.to_str().unwrap();
    // Enough for the ledger and nothing else.
    let output = place.run(&["run", scenario, "--keep", "all", "--keep-bytes", "10MiB"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let kept = trial(&place.results(), "cold-copy").kept.clone().unwrap();
    let told: Vec<&str> = kept.left_out.iter().map(|part| part.split(':').next().unwrap()).collect();
    assert_eq!(told, ["restored", "artifact"]);
    assert!(kept.left_out[0].contains(", but --keep-bytes and the free disk space leave "), "{kept:?}");
    assert!(place.kept("cold-copy").join("ledger").exists());
    let output = place.run(&["judge"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).contains("cannot be judged again: 'restored' was not kept"), "{}", text(&output));

    assert_eq!(place.run(&["run", scenario, "--keep", "none"]).status.code(), Some(0));
    assert_eq!(trial(&place.results(), "cold-copy").kept, None);
    assert!(!place.path().join("latest/kept").exists());
    assert_eq!(place.run(&["judge"]).status.code(), Some(2));
    place.assert_clean();
}

#[test]
fn evidence_leaves_a_file_system_of_the_trials_own_before_it_is_gone() {
    let Some(place) = place_for(FileSystem::Ext4) else { return };
    let extra = format!("[subject]\nfile_systems = [\"ext4\"]\n{SMALL}");
    let output = place.run_scenario(&place.scenario(&extra, &truncated()));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    place.assert_clean();
    assert!(place.kept("truncated").join("restored/database.sqlite").is_file());
    let output = place.run(&["judge"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("the verdict is the same"), "{}", text(&output));
}

#[test]
fn a_data_directory_of_mysql_is_judged_again_by_its_server() {
    if without_docker() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let scenario = place.scenario(&on(MYSQL), "[[variants]]\nstrategy = 'mysql-clone'\n");
    let output = place.run(&["run", scenario.to_str().unwrap(), "--keep", "all"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let kept = place.kept("mysql-clone");
    let evidence = std::fs::read_to_string(kept.join("evidence.json")).unwrap();
    assert!(!evidence.contains("password") && !evidence.contains("\"port\""), "{evidence}");
    assert!(std::fs::read_dir(&kept).unwrap().flatten().all(|entry| entry.file_name() != "run-restored"));
    let output = place.run(&["judge"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("now   restorable: all checks passed"), "{}", text(&output));
    place.assert_clean();
}

/// Sets or clears a flag of a file that prevents its removal. False when that is not possible.
fn chattr(flag: &str, path: &Path) -> bool {
    Command::new("chattr").arg(flag).arg(path).status().is_ok_and(|status| status.success())
}

/// Whether this user can make files immutable on this file system.
fn can_lock(place: &Place) -> bool {
    let file = place.path().join("lock");
    std::fs::write(&file, "").unwrap();
    Uid::effective().is_root() && chattr("+i", &file) && chattr("-i", &file)
}

#[test]
fn what_a_command_has_locked_costs_neither_its_record_nor_a_later_run() {
    let place = Place::shared();
    if !can_lock(&place) {
        return;
    }
    let variants = [
        external("locked", &format!("{COPY}; chattr +i \"$DRILL_DESTINATION/copy\"")),
        external("locks the source", &format!("{COPY}; chattr +i \"$(dirname \"$DRILL_SOURCE\")\"")),
        external("next", COPY),
    ];
    let scenario = place.scenario(SMALL, &variants.concat());
    let run = |words: &[&str]| place.run(&[&["run", scenario.to_str().unwrap()], words].concat());
    let output = run(&["--keep", "none"]);
    let results = place.results();
    let report = std::fs::read_to_string(place.path().join("latest/report.md")).unwrap();
    let later = run(&["--only", "external:next"]);
    let cleaned = place.run(&["clean"]);
    // Before any assertion can fail, because a locked file would remain after this test.
    let work: Vec<PathBuf> =
        std::fs::read_dir(place.path().join("work")).unwrap().flatten().map(|e| e.path()).collect();
    let locked: Vec<PathBuf> =
        work.iter().flat_map(|run| [run.join("trial-1/artifact/copy"), run.join("trial-2/live")]).collect();
    let unlocked = locked.iter().filter(|path| path.exists() && chattr("-i", path)).count();
    let swept = place.run(&["clean"]);

    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert_eq!(unlocked, 2);
    let leftover = |part| trial(&results, part).leftover.clone();
    assert_eq!(trial(&results, ":locked/").verdict, Verdict::Restorable);
    assert_eq!(
        leftover(":locked/").unwrap(),
        "artifact/copy: Operation not permitted (os error 1), it is immutable"
    );
    let source = trial(&results, ":locks the source/");
    assert_eq!(source.verdict, Verdict::Unverified);
    assert!(source.reason.contains("the live data directory cannot be moved away"), "{}", source.reason);
    assert!(leftover(":locks the source/").unwrap().contains("its directory is immutable"));
    assert_eq!((trial(&results, ":next/").verdict, leftover(":next/")), (Verdict::Restorable, None));
    assert!(text(&output).contains("artifact/copy', then run 'cargo xtask clean'"), "{}", text(&output));
    assert!(report.contains("### Not removed"), "{report}");
    assert_eq!(later.status.code(), Some(0), "{}", text(&later));
    assert_eq!(text(&later).matches("cannot remove").count(), 1, "{}", text(&later));
    assert_eq!(cleaned.status.code(), Some(4), "{}", text(&cleaned));
    assert!(text(&cleaned).contains("it is immutable; run 'chattr -i -a "), "{}", text(&cleaned));
    assert_eq!(swept.status.code(), Some(0), "{}", text(&swept));
    place.assert_clean();
}

/// A user who is not root.
const NOBODY: u32 = 65_534;

/// Runs a scenario as [`NOBODY`], while `meanwhile` acts as root. `None` when that is not possible, because this
/// process is not root, or because the repository is in a directory that only its owner can enter.
fn run_as_nobody(place: &Place, scenario: &Path, meanwhile: impl FnOnce()) -> Option<Output> {
    if !Uid::effective().is_root() {
        return None;
    }
    chown(place.path(), Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.uid(NOBODY).gid(NOBODY).spawn().ok()?;
    meanwhile();
    Some(child.wait_with_output().unwrap())
}

#[test]
fn a_read_only_directory_of_a_user_who_is_not_root_is_removed() {
    let place = Place::shared();
    let lock = r#"mkdir "$DRILL_DESTINATION/today"; touch "$DRILL_DESTINATION/today/file"; chmod 0555 "$DRILL_DESTINATION/today""#;
    let scenario = place.scenario(SMALL, &external("read-only", &format!("{COPY}; {lock}")));
    let Some(output) = run_as_nobody(&place, &scenario, || ()) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(trial(&place.results(), "read-only").leftover, None);
    place.assert_clean();
}

#[test]
fn what_root_has_made_for_itself_alone_is_a_backup_and_stays_with_its_reason() {
    let place = Place::shared();
    let ask =
        r#"touch "$DRILL_DESTINATION/ask"; until [ -d "$DRILL_DESTINATION/today" ]; do sleep 0.05; done"#;
    let scenario = place.scenario(SMALL, &external("by root", ask));
    let give_up = Instant::now() + Duration::from_secs(60);
    let made = |asked: PathBuf| {
        let today = asked.with_file_name("today");
        std::fs::create_dir(today.with_extension("new")).unwrap();
        std::fs::write(today.with_extension("new").join("copy"), vec![1; 8192]).unwrap();
        let only_root = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(today.with_extension("new"), only_root).unwrap();
        std::fs::rename(today.with_extension("new"), &today).unwrap();
        today
    };
    let asked = || {
        let work = std::fs::read_dir(place.path().join("work")).into_iter().flatten().flatten();
        work.map(|run| run.path().join("trial-1/artifact/ask")).find(|ask| ask.exists())
    };
    let mut today = None;
    let output = run_as_nobody(&place, &scenario, || {
        while today.is_none() && Instant::now() < give_up {
            today = asked().map(made);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let Some(output) = output else { return };
    let results = place.results();
    let trial = trial(&results, "by root");
    let backup = trial.backup.as_ref().unwrap();
    assert!(backup.seconds.is_some() && backup.artifact_bytes.is_none(), "{backup:?}");
    // The restore fails because only root can read the backup: this is the command's own failure.
    assert!(trial.verdict == Verdict::Failed && trial.reason.starts_with("restore: "), "{}", text(&output));
    let leftover = trial.leftover.clone().unwrap();
    let reason = "artifact/today: Permission denied (os error 13), it belongs to the user with the id 0";
    assert_eq!(leftover, reason);
    let kept = trial.kept.clone().unwrap();
    assert!(kept.path.is_some() && kept.left_out[0].starts_with("artifact: cannot measure it: "), "{kept:?}");
    assert!(text(&output).contains("for example with 'sudo rm -r "), "{}", text(&output));
    std::fs::remove_dir_all(today.unwrap()).unwrap();
    assert_eq!(place.run(&["clean"]).status.code(), Some(0));
    place.assert_clean();
}

#[test]
fn the_verifier_finds_all_damage_to_databases_of_whole_trials() {
    let place = Place::shared();
    let shipped = include_str!("../../../scenarios/verifier.toml");
    let scenario = place.path().join("verifier-of-files.toml");
    std::fs::write(&scenario, shipped.replace(r#"["sqlite", "mysql", "mariadb"]"#, r#"["sqlite"]"#)).unwrap();
    let output = place.run(&["prove", "verifier", scenario.to_str().unwrap(), "--each", "1"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let kinds = harness::trial::damage::DAMAGES.len();
    assert!(said.contains(&format!("Of {0} damaged databases, {0} were found corrupt", 2 * kinds)), "{said}");
    assert!(said.contains("Of 2 undamaged ones, 2 were restorable"), "{said}");
    place.assert_clean();
}
