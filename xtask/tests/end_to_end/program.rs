//! The installed program: in any directory, without the repository.

use super::*;

/// A copy of the program, and an empty directory to run it in.
struct Installed {
    _place: Place,
    program: PathBuf,
    here: PathBuf,
}

impl Installed {
    fn new() -> Installed {
        let place = Place::shared();
        let (bin, here) = (place.path().join("bin"), place.path().join("here"));
        [&bin, &here].into_iter().for_each(|directory| std::fs::create_dir(directory).unwrap());
        let program = bin.join("backup-drill");
        std::fs::copy(env!("CARGO_BIN_EXE_backup-drill"), &program).unwrap();
        Installed { _place: place, program, here }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&self.here).env_remove("CARGO_MANIFEST_DIR").stdin(Stdio::null());
        command
    }

    /// Its output. Panics unless it ends with this exit code.
    fn said(&self, words: &[&str], code: i32) -> String {
        let output = self.command(words).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        text(&output)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.here).unwrap().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn it_lists_plans_and_runs_outside_a_checkout() {
    let installed = Installed::new();
    let listed = installed.said(&["list"], 0);
    assert!(listed.contains("quick") && listed.contains("cold-copy"), "{listed}");
    installed.said(&["plan", "quick", "--only", "cold-copy", "--size", "4MiB"], 0);
    assert_eq!(installed.files(), Vec::<String>::new(), "a plan has no effect");
    let run = ["run", "quick", "--only", "cold-copy", "--size", "4MiB"];
    let said = installed.said(&run, 0);
    assert!(said.contains("backup-drill/latest") || said.contains("backup-drill/quick-"), "{said}");
    assert_eq!(installed.files(), ["backup-drill"]);
    let results = Results::load(&installed.here.join("backup-drill/latest/results.json")).unwrap();
    assert_eq!(results.run.command, "backup-drill run quick --only cold-copy --size 4MiB");
    // The program contains the example script.
    let external = ["run", "external", "--only", "backup.sh", "--size", "4MiB"];
    installed.said(&external, 0);
    let results = Results::load(&installed.here.join("backup-drill/latest/results.json")).unwrap();
    assert_eq!(trial(&results, "backup.sh").verdict, reports::record::Verdict::Restorable);
    let installed_root = installed.here.join("backup-drill");
    assert!(installed_root.join("shipped/examples/backup.sh").is_file());
    let refused = installed.said(&["run", "scenarios/quick.toml"], 2);
    assert!(refused.contains("file not found: scenarios/quick.toml"), "{refused}");
}

#[test]
fn commands_for_developers_are_hidden_and_refused() {
    let installed = Installed::new();
    let help = installed.said(&["--help"], 0);
    assert!(help.contains("Usage: backup-drill [OPTIONS] <COMMAND>"), "{help}");
    assert!(!help.contains("\n  setup") && !help.contains("\n  test"), "{help}");
    for command in ["setup", "test"] {
        let refused = installed.said(&[command], 2);
        assert!(refused.contains("are for developers of Backup Drill: clone its repository"), "{refused}");
    }
    assert_eq!(installed.files(), Vec::<String>::new());
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let installed = Installed::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = installed.said(&["completions", shell], 0);
        assert!(script.contains("backup-drill") && script.contains("no-progress"), "{script}");
    }
    let page = installed.said(&["man"], 0);
    assert!(page.contains(".TH backup-drill 1") && page.contains("backup\\-drill\\-run(1)"), "{page}");
    let page = installed.said(&["man", "check"], 0);
    assert!(page.contains("backup\\-file"), "{page}");
    let refused = installed.said(&["man", "chek"], 2);
    assert!(refused.starts_with("error: unknown command 'chek' (did you mean 'check'?)"), "{refused}");
}

#[test]
fn a_scenario_from_init_can_be_planned() {
    let installed = Installed::new();
    let own = installed.here.join("my.db");
    rusqlite::Connection::open(&own).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    std::fs::create_dir(installed.here.join("deep")).unwrap();
    let mut plans = Vec::new();
    let cases: [&[&str]; 5] = [
        &["init"],
        &["init", "own.toml", "--database", "my.db"],
        &["init", "deep/own.toml", "--database", "my.db"],
        &["init", "mine.toml", "--backup", "cp \"$DRILL_SOURCE\" x", "--restore", "true"],
        &["init", "server.toml", "--engine", "mysql"],
    ];
    for case in cases {
        let said = installed.said(case, 0);
        let file = said.lines().next().unwrap().to_owned();
        let plan = said.lines().find_map(|line| line.split_once("backup-drill plan ")).unwrap().1;
        assert_eq!(plan, file);
        // A server needs Docker, which does not depend on the scenario file.
        let output = installed.command(&["plan", plan]).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{}", text(&output));
        plans.push(file);
    }
    assert_eq!(plans, ["backup-drill.toml", "own.toml", "deep/own.toml", "mine.toml", "server.toml"]);
    let again = installed.said(&["init"], 2);
    assert!(again.contains("backup-drill.toml exists already: choose another name"), "{again}");
    let missing = installed.said(&["init", "x.toml", "--backup", "./none.sh", "--restore", "true"], 2);
    assert!(missing.contains("settings.backup: ./none.sh: No such file"), "{missing}");
    assert!(!installed.here.join("x.toml").exists());
}

#[test]
fn a_run_is_published_with_an_index() {
    let installed = Installed::new();
    installed.said(&["run", "quick", "--only", "cold-copy", "--size", "4MiB", "--keep", "all"], 0);
    let publish = ["publish", "backup-drill/latest", "--into", "published"];
    installed.said(&[&publish[..], &["--name", "small"]].concat(), 0);
    let refused = installed.said(&[&publish[..], &["--name", "small"]].concat(), 2);
    assert!(refused.contains("published/small exists already: choose another --name"), "{refused}");
    installed.said(&[&publish[..], &["--name", "small", "--replace"]].concat(), 0);
    let into = installed.here.join("published");
    let results = Results::load(&into.join("small/results.json")).unwrap();
    assert!(results.trials.iter().all(|trial| trial.kept.is_none()));
    for file in reports::render::files(&results) {
        assert!(into.join("small").join(file.name).is_file(), "{}", file.name);
    }
    let index = std::fs::read_to_string(into.join("README.md")).unwrap();
    assert!(index.contains("(small/report.") && index.contains("| quick | 1 | as expected |"), "{index}");
    // A run of an older version of the scenario.
    let file = into.join("small/results.json");
    let record = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, record.replace("\"trial.tail_seconds\": 1.0", "\"trial.tail_seconds\": 7.0"))
        .unwrap();
    installed.said(&[&publish[..], &["--name", "other"]].concat(), 0);
    let index = std::fs::read_to_string(into.join("README.md")).unwrap();
    assert!(index.contains("- small: trial.tail_seconds was 7.0 and is 1.0."), "{index}");
    assert!(
        std::fs::read_to_string(into.join("index.html")).unwrap().contains("<li>small: trial.tail_seconds")
    );
}

#[test]
fn flags_select_what_is_shown_besides_results() {
    let installed = Installed::new();
    let run = ["run", "quick", "--only", "cold-copy", "--size", "4MiB"];
    let shown = |flags: &[&str]| {
        let output = installed.command(&[&run[..], flags].concat()).env("NO_COLOR", "1").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(!text(&output).contains('\x1b'), "{}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(shown(&["--quiet"]), "");
    let few = shown(&["--no-progress"]);
    assert!(few.contains("[1/1] cold-copy/wal/") && !few.contains("| reference "), "{few}");
    let all = shown(&["-v"]);
    assert!(all.contains("[1/1] cold-copy/wal/") && all.contains("| reference "), "{all}");
    installed.said(&["run", "-q", "-v"], 2);
}
