//! What `plan`, `doctor`, `setup` and `test` report about a machine that lacks something, and that a run reports the
//! same.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};

use reports::record::Verdict;
use strategies::registry;

use super::*;

const NO_DOCKER: (&str, &str) = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");

/// A directory for PATH with only these commands of this machine.
fn path_with(place: &Place, tools: &[&str]) -> PathBuf {
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in tools {
        let real = ["/bin", "/usr/bin"].map(|at| Path::new(at).join(tool)).into_iter().find(|at| at.exists());
        symlink(real.unwrap(), bin.join(tool)).unwrap();
    }
    bin
}

fn script(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The program without `--dir`, and with no Docker.
fn xtask(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    command.args(words).env(NO_DOCKER.0, NO_DOCKER.1).env_remove("CI").stdin(Stdio::null());
    command
}

/// Ids of trials that a plan marks as unavailable, with the reason.
fn marked(plan: &str) -> BTreeMap<String, String> {
    let lines = plan.lines().filter_map(|line| line.split_once("; unavailable here: "));
    let id = |line: &str| line.trim().split(" (about").next().unwrap().to_owned();
    lines.map(|(line, reason)| (id(line), reason.to_owned())).collect()
}

#[test]
fn a_plan_marks_the_trials_that_a_run_then_finds_unavailable_and_ends_as_it_does() {
    let place = Place::shared();
    // No sqlite3, no mkfs, no Docker.
    let bin = path_with(&place, &["cp", "git"]);
    let variants: Vec<String> = ["cold-copy", "sqlite-cli-backup", "sqlite3-rsync", "sidecar", "snapshot"]
        .map(|name| format!("[[variants]]\nstrategy = \"{name}\"\n"))
        .into();
    let subject = format!("[subject]\nfile_systems = [\"disk\", \"btrfs\"]\n{SMALL}");
    let scenario = place.scenario(&subject, &variants.concat());
    let ended = |word: &str| {
        let mut command = place.command(&[word, scenario.to_str().unwrap()]);
        command.env("PATH", &bin).env(NO_DOCKER.0, NO_DOCKER.1).output().unwrap()
    };
    let (plan, run) = (ended("plan"), ended("run"));
    assert_eq!(plan.status.code(), Some(4), "{}", text(&plan));
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    let results = place.results();
    let unavailable = results.trials.iter().filter(|trial| trial.verdict == Verdict::Unavailable);
    let reasons: BTreeMap<String, String> =
        unavailable.map(|trial| (trial.id.clone(), trial.reason.clone())).collect();
    // The plan and the run find them in different ways, but the reasons are the same.
    assert_eq!(marked(&text(&plan)), reasons, "{}", text(&plan));
    assert!(reasons.len() >= 7 && reasons.len() < results.trials.len(), "{reasons:?}");
    place.assert_clean();
}

#[test]
fn examples_of_programs_that_are_not_here_are_unavailable_with_what_is_missing() {
    if without_docker() {
        return;
    }
    let place = Place::shared();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/other-programs.toml");
    let mut command = place.command(&["plan", scenario.to_str().unwrap(), "--repetitions", "1"]);
    let bin = path_with(&place, &["sh"]);
    for variable in ["KOPIA_PASSWORD", "AWS_ACCESS_KEY_ID"] {
        command.env_remove(variable);
    }
    let plan = command.env("PATH", bin).output().unwrap();
    assert_eq!(plan.status.code(), Some(4), "{}", text(&plan));
    let marked = marked(&text(&plan));
    let says = |name: &str, cause: &str| {
        marked.iter().any(|(id, reason)| id.contains(name) && reason.contains(cause))
    };
    assert!(says("kopia", "KOPIA_PASSWORD: set it to the password of the repository"), "{marked:?}");
    assert!(says("WAL-G", "mysqldump"), "{marked:?}");
    assert!(says("xbcloud", "AWS_ACCESS_KEY_ID: set it"), "{marked:?}");
    assert_eq!(marked.len(), 3, "{marked:?}");
}

#[test]
fn a_run_that_would_not_begin_is_no_plan_without_an_error() {
    let place = Place::shared();
    let scenario = place.scenario(
        &format!("[subject]\nengines = [\"mysql\"]\n{SMALL}"),
        "[[variants]]\nstrategy = \"cold-copy\"\n",
    );
    let said = ["plan", "run"].map(|word| {
        let mut command = place.command(&[word, scenario.to_str().unwrap()]);
        let output = command.env(NO_DOCKER.0, NO_DOCKER.1).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{word}: {}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    });
    assert!(said[0].starts_with("error: Docker is not running or not reachable at unix:///nonexistent"));
    assert_eq!(said[0], said[1]);
}

#[test]
fn the_doctor_calls_nothing_ready_that_needs_what_is_not_here() {
    let place = Place::shared();
    let output = place.command(&["doctor"]).env(NO_DOCKER.0, NO_DOCKER.1).output().unwrap();
    let said = text(&output);
    let ready: Vec<&str> = said.lines().filter_map(|line| line.trim().strip_prefix("ready ")).collect();
    let sqlite = engines::registry::named("sqlite").unwrap();
    for strategy in registry::all() {
        let name = strategy.card().name;
        let line = ready.iter().find(|line| line.trim().starts_with(&format!("{name} on ")));
        assert!(line.is_none_or(|line| !line.contains("mysql (") && !line.ends_with("mysql")), "{said}");
        assert!(line.is_none() || strategy.card().image(sqlite).is_none(), "{said}");
    }
    assert!(ready.iter().any(|line| line.trim().starts_with("cold-copy on sqlite")), "{said}");
    // Whether it can be downloaded was not tested.
    assert!(!ready.iter().any(|line| line.contains("litestream")), "{said}");
    // The default scenario needs no container.
    let lacks = ["sqlite3", "zstd"].iter().any(|tool| machine::process::on_path(tool).is_none());
    assert_eq!(output.status.code(), Some(if lacks { 4 } else { 0 }), "{said}");
}

#[test]
fn the_doctor_fails_where_the_default_scenario_lacks_something() {
    let place = Place::shared();
    let bin = path_with(&place, &["cp"]);
    let output = place.command(&["doctor"]).env("PATH", bin).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let last = text(&output).split("\ndefault scenario 'quick'").nth(1).unwrap().to_owned();
    assert!(last.contains("unavailable  sqlite-dump/"), "{last}");
}

#[test]
fn all_that_the_tests_need_is_said_at_once_before_anything_is_built() {
    let place = Place::shared();
    // Without cargo on PATH, nothing can be built.
    let bin = path_with(&place, &["sh"]);
    script(&bin, "apt-get", "echo 'nobody asked for this' >&2; exit 1");
    let output = xtask(&["test"]).env("PATH", &bin).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let parts = ["Docker is not running", "'cc'", "'sqlite3'", "'zstd'", "'bats'", "'mmdebstrap'", "'pip3'"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    assert!(said.contains("--without-docker"), "{said}");
    let line = said.lines().find(|line| line.contains("apt-get install --yes")).unwrap();
    let packages = ["gcc ", " libc6-dev ", "bats", "mmdebstrap", "python3-pip", "sqlite3", "zstd"];
    assert!(packages.iter().all(|package| line.contains(package)), "{line}");
    assert!(!said.contains("nobody asked"), "{said}");
}

/// A machine on which `apt-get install` does this; `apt.log` has the arguments of each call.
fn machine_with_apt(place: &Place, install: &str) -> PathBuf {
    let bin = path_with(place, &["sh", "env", "cp", "chmod"]);
    let log = place.path().join("apt.log");
    let text = format!("echo \"$*\" >> '{}'\n[ \"$1\" = update ] && exit 0\n{install}", log.display());
    script(&bin, "apt-get", &text);
    script(&bin, "sudo", "exec \"$@\"");
    script(&bin, "rustup", "exit 0");
    // Toolchain components that are present.
    for tool in ["rustfmt", "cargo-clippy"] {
        script(&bin, tool, "echo 1");
    }
    bin
}

#[test]
fn setup_installs_what_is_missing_and_then_nothing_more() {
    let place = Place::shared();
    let commands = [
        "cc",
        "chromium",
        "mysqldump",
        "sqlite3",
        "zstd",
        "bats",
        "parallel",
        "flock",
        "setfacl",
        "tar",
        "age",
        "b3sum",
        "curl",
        "jq",
        "rclone",
        "socat",
        "borg",
        "restic",
        "pip3",
        "faketime",
        "rsync",
        "ssh",
        "qemu-storage-daemon",
        "mkfs.btrfs",
        "btrfs",
        "mkfs.ext4",
        "mkfs.xfs",
        "mount",
        "losetup",
    ];
    let bin = place.path().join("bin");
    let made = commands.map(|name| {
        format!("printf '#!/bin/sh\\necho 1\\n' > '{0}/{name}'; chmod 755 '{0}/{name}'", bin.display())
    });
    machine_with_apt(&place, &made.join("\n"));
    // With this exception, the packages for LVM are not installed.
    let words = ["setup", "--without-docker", "--except", "lvm"];
    for _ in 0..2 {
        let output = xtask(&words).env("PATH", &bin).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let log = std::fs::read_to_string(place.path().join("apt.log")).unwrap();
    let calls: Vec<&str> = log.lines().collect();
    assert_eq!((calls.len(), calls[0]), (2, "update"), "{log}");
    assert!(calls[1].contains(" bats ") && calls[1].contains("sqlite3"), "{log}");
    assert!(!calls[1].contains("lvm2") && !calls[1].contains("mmdebstrap"), "{log}");
}

#[test]
fn the_cause_why_nothing_could_be_installed_reaches_the_user() {
    let place = Place::shared();
    let bin = machine_with_apt(&place, "echo \"E: Unable to locate package bats\" >&2\nexit 100");
    let output = xtask(&["setup", "--without-docker"]).env("PATH", &bin).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(text(&output).contains("E: Unable to locate package bats"), "{}", text(&output));
}

#[test]
fn what_cannot_be_excepted_is_bad_input() {
    let output = xtask(&["test", "--except", "xtrabakup"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("did you mean 'xtrabackup'?"), "{}", text(&output));
}
