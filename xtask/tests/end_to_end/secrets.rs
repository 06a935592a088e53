//! Passwords are on no command line, in no environment, and in nothing that a run leaves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use machine::process::StopOnDrop;

use super::containers::{MYSQL, on};
use super::*;

/// The passwords in the option files that clients of a run read.
fn passwords(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
        if entry.file_name() != "client.cnf" {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.strip_prefix("password=")).map(str::to_owned));
    }
    found
}

/// Where one of the secrets is in a command line or an environment of a process of this machine.
fn shown_by_processes(secrets: &BTreeSet<String>) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for process in procfs::process::all_processes().unwrap().flatten() {
        for part in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{}/{part}", process.pid())).unwrap_or_default();
            if secrets.iter().any(|secret| contains(&bytes, secret)) {
                let name = process.stat().map_or(String::new(), |stat| stat.comm);
                shown.insert(format!("{part} of {name}"));
            }
        }
    }
    shown
}

fn contains(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[test]
fn a_password_is_on_no_command_line_in_no_environment_and_in_nothing_that_is_kept() {
    if without_docker() {
        return;
    }
    let place = Place::shared();
    let variants: String = ["mysql-dump", "mysql-binlog", "sidecar"]
        .map(|strategy| format!("[[variants]]\nstrategy = \"{strategy}\"\n"))
        .concat();
    let scenario = place.scenario(&on(MYSQL), &variants);
    let stop = AtomicBool::new(false);
    let (output, secrets, shown) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut secrets, mut shown) = (BTreeSet::new(), BTreeSet::new());
            while !stop.load(Ordering::Relaxed) {
                secrets.extend(passwords(&place.path().join("work")));
                shown.extend(shown_by_processes(&secrets));
                std::thread::sleep(Duration::from_millis(100));
            }
            (secrets, shown)
        });
        let output = {
            let _stop = StopOnDrop(&stop);
            place.run(&["run", scenario.to_str().unwrap(), "--keep", "all"])
        };
        let (secrets, shown) = watching.join().unwrap();
        (output, secrets, shown)
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(secrets.len() >= 3, "each trial has a password: {}", secrets.len());
    assert!(shown.is_empty(), "{shown:?}");
    assert!(
        !secrets.iter().any(|secret| contains(&output.stdout, secret) || contains(&output.stderr, secret))
    );
    for entry in walkdir::WalkDir::new(place.path()).into_iter().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        assert!(!secrets.iter().any(|secret| contains(&bytes, secret)), "{}", entry.path().display());
    }
    place.assert_clean();
}
