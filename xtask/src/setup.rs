//! `setup`: installs what the checks and tests of this repository need. `test` does this, too.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use engines::images::{self, Stock};
use engines::registry;
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::how_to_install::HowToInstall;
use machine::process::{Cancel, on_path};
use machine::{docker, this_program};
use nix::unistd::geteuid;

use crate::arguments::Scope;
use crate::needs::{self, Need};

/// How the user agrees to the installation of packages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The user ran `setup`; at a terminal, the command is shown first and must be confirmed.
    Asked,
    /// The user did not ask for it: packages are installed only as root, and in CI.
    Implied,
}

/// The checkout of this repository in which this program was started.
///
/// # Errors
/// [`Error::Input`] outside a checkout.
pub fn checkout() -> Result<PathBuf> {
    this_program::checkout().ok_or_else(|| {
        Error::Input(
            "'setup' and 'test' are for developers of Backup Drill: clone its repository, and run 'cargo xtask setup' \
             or 'cargo xtask test' there"
                .into(),
        )
    })
}

/// Number of lines of a failed command's output that the error shows.
const LINES_SHOWN: usize = 15;

/// Installs packages. It first collects everything that is missing, also images, and installs nothing without Docker.
///
/// # Errors
/// [`Error::Environment`] with everything that is missing and the command that installs it, or with the reason why that
/// failed; [`Error::Interrupted`].
pub fn packages(scope: &Scope, consent: Consent, cancel: &Cancel, observer: Observer<'_>) -> Result<()> {
    let docker = if scope.without_docker { Ok(()) } else { docker::server_version().map(|_| ()) };
    let missing = needs::missing(scope);
    // Without apt, packages have other names: they are listed, and the user installs them.
    let line = on_path("apt-get").and_then(|_| command_line(&missing, geteuid().is_root()));
    if let Err(error) = docker {
        let first = format!("{error}; use --without-docker to test everything that needs no container");
        return Err(lacking(Some(first), &missing, &besides(false), line.as_deref()));
    }
    let besides = besides(!scope.without_docker);
    if !missing.is_empty() {
        let Some(line) = line.as_deref().filter(|line| may_run(line, consent)) else {
            return Err(lacking(None, &missing, &besides, line.as_deref()));
        };
        run(line, cancel)?;
        let still = needs::missing(scope);
        if !still.is_empty() {
            return Err(lacking(None, &still, &besides, None));
        }
    }
    besides.into_iter().for_each(|line| observer(Event::Note(line)));
    Ok(())
}

/// Gets the images. The packages that they are built with must be installed.
///
/// # Errors
/// [`Error::Environment`] when one can neither be pulled nor built; [`Error::Interrupted`].
pub fn images(scope: &Scope, directory: &Path, cancel: &Cancel, observer: Observer<'_>) -> Result<()> {
    if !scope.without_docker {
        crate::images::show(&registry::images(), directory, cancel, observer)?;
    }
    Ok(())
}

/// What is missing and does not come from a package: images, and root rights for file systems created for trials.
fn besides(with_images: bool) -> Vec<String> {
    let rights = (!geteuid().is_root())
        .then(|| "root rights: without them, trials on other file systems are NOT TESTED".to_owned());
    let kinds = registry::images().into_iter().filter(|_| with_images);
    let images = kinds.filter_map(|kind| match images::look(kind, None) {
        Ok(Stock::Here(_)) => None,
        Ok(Stock::Obtainable(how)) => Some(format!("the image {}: it will be {how}", kind.name)),
        Err(error) => Some(format!("the image {}: {error}", kind.name)),
    });
    rights.into_iter().chain(images).collect()
}

/// Everything that is missing, in one message, with the command that installs it.
fn lacking(first: Option<String>, missing: &[Need], besides: &[String], line: Option<&str>) -> Error {
    let when = if first.is_some() { "once Docker answers, " } else { "" };
    let lines = first.into_iter().chain(missing.iter().map(Need::line)).chain(besides.iter().cloned());
    let lines: String = lines.map(|line| format!("\n  {line}")).collect();
    let get = line.map(|line| {
        format!(
            "\n{when}'cargo xtask setup' runs this command, as root or with sudo, and gets the images:\n  {line}"
        )
    });
    let get = get.unwrap_or_default();
    Error::Environment(format!("this machine lacks what the checks and tests need:{lines}{get}"))
}

/// The command that installs everything that has a package on Debian and Ubuntu; `None` when nothing has one.
fn command_line(missing: &[Need], is_root: bool) -> Option<String> {
    let (mut packages, mut components): (Vec<&str>, Vec<&str>) = Default::default();
    for need in missing {
        match need.tool.install {
            HowToInstall::Packages { debian, .. } => packages.extend(debian),
            HowToInstall::Component(name) => components.push(name),
            HowToInstall::Instructions(_) => {}
        }
    }
    packages.sort_unstable();
    packages.dedup();
    let mut steps = Vec::new();
    if !components.is_empty() {
        steps.push(format!("rustup component add {}", components.join(" ")));
    }
    if !packages.is_empty() {
        let privilege = if is_root { "" } else { "sudo " };
        let install = "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends";
        steps.push(format!("{privilege}apt-get update"));
        steps.push(format!("{privilege}{install} {}", packages.join(" ")));
    }
    (!steps.is_empty()).then(|| steps.join(" && "))
}

fn may_run(line: &str, consent: Consent) -> bool {
    let is_root = geteuid().is_root();
    let has_rights = !line.contains("sudo ") || on_path("sudo").is_some();
    has_rights
        && match consent {
            Consent::Asked => !std::io::stdin().is_terminal() || is_agreed(line),
            Consent::Implied => is_root || std::env::var_os("CI").is_some(),
        }
}

fn is_agreed(line: &str) -> bool {
    eprint!("{line}\nRun this? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// Runs the command, and shows what it printed only when it fails.
fn run(line: &str, cancel: &Cancel) -> Result<()> {
    eprintln!("installing what is missing: {line}");
    let mut shell = Command::new("sh");
    // Both streams in one, so that the last lines are really the last.
    shell.args(["-c", &format!("{{ {line}; }} 2>&1")]).stdin(Stdio::null());
    let output =
        shell.output().map_err(|error| Error::Environment(format!("cannot start the shell: {error}")))?;
    cancel.check()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n  ");
    Err(Error::Environment(format!("'{line}' failed ({}):\n  {last}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::tool::Tool;

    fn need(install: HowToInstall) -> Need {
        let tool = Tool { command: "no-such-command", version_argument: "--version", install };
        Need { tool: Box::leak(Box::new(tool)), purposes: vec!["a test".into(), "another".into()] }
    }

    #[test]
    fn one_command_installs_everything_that_has_a_package() {
        let missing = [
            need(HowToInstall::packages(&["xfsprogs"])),
            need(HowToInstall::packages(&["mmdebstrap", "uidmap"])),
            need(HowToInstall::Packages { debian: &["sqlite3"], elsewhere: Some(("sqlite", "Arch")) }),
            need(HowToInstall::packages(&["xfsprogs"])),
            need(HowToInstall::Component("clippy")),
            need(HowToInstall::Instructions("see its page")),
        ];
        let lines = [command_line(&missing, true), command_line(&missing, false)].map(Option::unwrap);
        insta::assert_snapshot!(lines.join("\n"), @r"
        rustup component add clippy && apt-get update && env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mmdebstrap sqlite3 uidmap xfsprogs
        rustup component add clippy && sudo apt-get update && sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mmdebstrap sqlite3 uidmap xfsprogs
        ");
        assert_eq!(command_line(&missing[4..5], false).unwrap(), "rustup component add clippy");
        assert_eq!(command_line(&missing[5..], true), None);
    }

    #[test]
    fn everything_missing_is_in_one_message_with_the_command_that_installs_it() {
        let missing =
            [need(HowToInstall::packages(&["bats"])), need(HowToInstall::Instructions("see its page"))];
        let line = command_line(&missing, true);
        let besides = ["the image mysql: it will be pulled".to_owned()];
        let error = lacking(Some("Docker is not running".into()), &missing, &besides, line.as_deref());
        insta::assert_snapshot!(error, @r"
        this machine lacks what the checks and tests need:
          Docker is not running
          the command 'no-such-command' is not on PATH: install the package 'bats'; for a test, another
          the command 'no-such-command' is not on PATH: see its page; for a test, another
          the image mysql: it will be pulled
        once Docker answers, 'cargo xtask setup' runs this command, as root or with sudo, and gets the images:
          apt-get update && env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends bats
        ");
    }
}
