//! Commands that are run as operators run them: found on PATH, with their version in the record.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reports::printable;

use crate::how_to_install::HowToInstall;
use crate::process::{on_path, why_not_started};

/// A command that must be on PATH.
pub struct Tool {
    /// Its name on PATH.
    pub command: &'static str,
    /// The argument that makes it print its version.
    pub version_argument: &'static str,
    /// How to get it.
    pub install: HowToInstall,
}

/// The copy command of the GNU core utilities.
pub const CP: Tool =
    Tool { command: "cp", version_argument: "--version", install: HowToInstall::packages(&["coreutils"]) };

/// A program in the version that a variant uses.
pub struct Program {
    /// Its name in the record.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// The version that it prints.
    pub version: String,
}

impl Tool {
    /// Where it is on PATH.
    pub fn path(&self) -> Option<PathBuf> {
        on_path(self.command)
    }

    /// The first line of the version that it prints; `None` when it is missing or cannot be run.
    pub fn version(&self) -> Option<String> {
        self.version_at(&self.path()?).ok()
    }

    /// As [`Tool::version`], of the program at the given path.
    ///
    /// # Errors
    /// Why it cannot be run, and how to get one that works.
    pub fn version_at(&self, path: &Path) -> Result<String, String> {
        let refused = |cause: String| {
            format!("'{} {}' cannot be run: {cause}: {}", path.display(), self.version_argument, self.install)
        };
        let output = Command::new(path).arg(self.version_argument).stdin(Stdio::null()).output();
        let output = output.map_err(|error| refused(why_not_started(path, &error)))?;
        // Some print their version to standard error.
        let text = [output.stdout, output.stderr].concat();
        let text = printable(&String::from_utf8_lossy(&text));
        if output.status.success() {
            return Ok(text.lines().next().unwrap_or("unknown").trim().to_owned());
        }
        let said = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output");
        Err(refused(format!("it ended with {}: {}", output.status, said.trim())))
    }

    /// What is missing and how to get it, when it is missing.
    pub fn missing(&self) -> Option<String> {
        match self.path() {
            Some(path) => self.version_at(&path).err(),
            None => Some(format!("the command '{}' is not on PATH: {}", self.command, self.install)),
        }
    }
}
