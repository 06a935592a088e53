//! `docs/live-copy.md`: its scripts and commands are executed, and what it quotes is what they are and print.

use reports::record::Verdict;

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The lines of the page that begin like this.
fn lines_with(beginning: &str) -> Vec<String> {
    let lines: Vec<_> = read("docs/live-copy.md")
        .lines()
        .filter(|line| line.starts_with(beginning))
        .map(str::to_owned)
        .collect();
    assert!(!lines.is_empty(), "{beginning}");
    lines
}

/// Executes a command line of the page in the root of the repository.
fn executed(line: &str) -> String {
    let output =
        Command::new("sh").args(["-c", line]).current_dir(root()).stdin(Stdio::null()).output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{line}: {said}");
    said
}

#[test]
fn the_page_about_live_copies_quotes_its_script_and_its_demonstration() {
    let page = read("docs/live-copy.md");
    assert!(page.contains(&read("docs/live-copy/backup.sh")), "the script on the page is another one");
    for line in lines_with("docs/live-copy/demonstration.sh") {
        let said = executed(&line);
        assert!(
            said.starts_with("acknowledged before the copy: 60 writes\nheader first: 29 writes"),
            "{said}"
        );
        assert!(page.contains(&said), "{line}: {said}");
    }
}

#[test]
fn the_scripts_of_the_page_about_live_copies_restore_every_acknowledged_write() {
    let place = Place::shared();
    let check = lines_with("cargo xtask check").remove(0);
    let words = shlex::split(check.strip_prefix("cargo xtask ").unwrap()).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The default journal mode of a check is WAL.
    let few = ["--size", "4MiB", "--repetitions", "2", "--rate", "closed"];
    let output = place.command(&[&words[..], &few[..]].concat()).current_dir(root()).output().unwrap();
    // So short a copy may not be disturbed by a checkpoint, which the command reports as not challenged.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output));
    let results = place.results();
    assert_eq!(results.trials.len(), 2);
    assert!(results.trials.iter().all(|trial| trial.verdict == Verdict::Restorable), "{}", text(&output));
    place.assert_clean();
}

#[test]
fn the_steps_of_the_page_about_live_copies_restore_a_database_in_both_journal_modes() {
    for mode in ["wal", "delete"] {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = |name: &str| directory.path().join(name);
        let live = rusqlite::Connection::open(path("app.db")).unwrap();
        live.pragma_update(None, "journal_mode", mode).unwrap();
        live.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
        std::fs::create_dir(path("copy")).unwrap();
        let place = directory.path().display();
        let step = |script: &str| {
            let line = lines_with(script).remove(0);
            executed(
                &line
                    .replace("app.db", &format!("{place}/app.db"))
                    .replace(" copy", &format!(" {place}/copy")),
            )
        };
        step("docs/live-copy/backup.sh");
        live.execute_batch("INSERT INTO t VALUES (2);").unwrap();
        drop(live);
        // What a killed application leaves must not be applied to the restored file.
        std::fs::write(path("app.db-wal"), "of the old file").unwrap();
        step("docs/live-copy/restore.sh");
        assert!(!path("app.db-wal").exists());
        let restored = rusqlite::Connection::open(path("app.db")).unwrap();
        let rows: i64 = restored.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "{mode}");
        // Without the file that says so, a backup is not complete.
        std::fs::remove_file(path("copy/complete")).unwrap();
        let restore = format!("docs/live-copy/restore.sh {place}/copy {place}/app.db");
        let refused = Command::new("sh").args(["-c", &restore]).current_dir(root()).output().unwrap();
        assert!(!refused.status.success() && text(&refused).contains("not a complete backup"));
    }
}
