//! What a backup command leaves when the power fails: every state that the disk of its destination could be in, each
//! mounted and inspected.

pub mod source;
pub mod strategy;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use engines::engine::Engine;
use engines::files::{FileEngine, Inspection};
use machine::error::{Error, Result};
use machine::file_system::FileSystem;
use machine::file_system::write_log::{CrashPlan, CrashReplay, LoggedFileSystem, missing_for_write_logs};
use machine::process::{Account, Launcher};
use machine::removal;
use model::dataset::{DatasetSpec, original_torrents};
use model::writes::{Marks, Model};
use reports::record::Check;

/// The file system of the destination.
const FILE_SYSTEM: FileSystem = FileSystem::Ext4;
/// Room beside the backup, for the journal of the file system.
const ROOM_BYTES: u64 = 48 << 20;
/// The file that a command makes in its destination.
const COPY: &str = "copy.db";

/// What is missing on this machine, and how to get it.
pub fn missing() -> Option<String> {
    missing_for_write_logs(FILE_SYSTEM)
}

/// The states after one command.
#[derive(Debug, Default)]
pub struct Examined {
    /// Those that only a power cut before the command reported success can leave.
    pub before: Tally,
    /// Those that a power cut after it can leave: each must have the backup.
    pub after: Tally,
}

/// States by what they have.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of states with the whole backup.
    pub right: u64,
    /// Number of states in which it is missing or damaged.
    pub damaged: u64,
    /// The first of these, and what is wrong with it.
    pub example: Option<String>,
}

/// A database, and how its backups are examined.
pub struct Examination<'a> {
    launcher: &'a Launcher,
    engine: &'static dyn Engine,
    files: &'static dyn FileEngine,
    spec: DatasetSpec,
    source: PathBuf,
    bytes: u64,
    seed: u64,
    reorderings: usize,
}

impl<'a> Examination<'a> {
    /// Generates a database of about `bytes` bytes in the launcher's work directory. Between two flushes, up to
    /// `reorderings` subsets of the writes are tried.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing on this machine; [`Error::Interrupted`].
    pub fn new(launcher: &'a Launcher, bytes: u64, seed: u64, reorderings: usize) -> Result<Examination<'a>> {
        if let Some(missing) = missing() {
            return Err(Error::Environment(format!(
                "the states after a power cut cannot be made: {missing}"
            )));
        }
        let (engine, files) = engines::registry::of_files();
        let source = launcher.work_directory().join("source.db");
        let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: bytes, seed };
        files.generate(&spec, &source, &|| launcher.cancel.is_cancelled(), &mut |_| ())?;
        Ok(Examination { launcher, engine, files, spec, source, bytes, seed, reorderings })
    }

    /// Runs a command that backs up `$DRILL_SOURCE` to `$DRILL_DESTINATION/copy.db`, and examines every state that a
    /// power cut during it or after it could leave.
    ///
    /// # Errors
    /// [`Error::Input`] when the command fails; [`Error::Environment`] when the machine refuses something;
    /// [`Error::Interrupted`].
    pub fn examine(&self, line: &str) -> Result<Examined> {
        self.examined(|_| Ok(()), |destination| self.back_up(line, destination), |state| self.wrong(state))
    }

    /// Examines the states of a destination during and after a backup: `prepare` makes what is there before, and `wrong`
    /// says what is wrong with the backup in a state.
    fn examined(
        &self,
        prepare: impl FnOnce(&Path) -> Result<()>,
        back_up: impl FnOnce(&Path) -> Result<()>,
        wrong: impl Fn(&Path) -> Result<Option<String>>,
    ) -> Result<Examined> {
        let bytes = 4 * self.bytes + ROOM_BYTES;
        let destination = LoggedFileSystem::make(FILE_SYSTEM, self.launcher, "destination", bytes)?;
        prepare(destination.point())?;
        let from = destination.position()?;
        back_up(destination.point())?;
        let success = destination.position()?;
        let log = destination.finish()?;
        let plan = CrashPlan {
            seed: self.seed,
            reorderings_per_interval: self.reorderings,
            from,
            markers: vec![success],
            until: None,
        };
        let mut replay = CrashReplay::make(&log, self.launcher, "state")?;
        let mut examined = Examined::default();
        for state in log.crash_states(plan) {
            self.launcher.cancel.check()?;
            let wrong = wrong(replay.mount(&state)?.point())?;
            let tally = if state.can_follow(success) { &mut examined.after } else { &mut examined.before };
            match wrong {
                None => tally.right += 1,
                Some(wrong) => {
                    tally.damaged += 1;
                    tally.example.get_or_insert_with(|| format!("{state}: {wrong}"));
                }
            }
        }
        Ok(examined)
    }

    fn back_up(&self, line: &str, destination: &Path) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("DRILL_SOURCE", &self.source).env("DRILL_DESTINATION", destination);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.launcher.run(Account::Strategy, command).map_err(|error| match error {
            Error::Environment(cause) => Error::Input(format!("the command '{line}' failed: {cause}")),
            other => other,
        })
    }

    /// What is wrong with the backup in a destination; `None` when it is whole.
    fn wrong(&self, destination: &Path) -> Result<Option<String>> {
        let scratch = self.launcher.work_directory().join("inspected");
        std::fs::create_dir(&scratch).context("cannot make a directory for an inspection")?;
        // With all that lies beside it: a journal that came back counts.
        for entry in std::fs::read_dir(destination).context("cannot read a destination")?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(COPY) {
                std::fs::copy(entry.path(), scratch.join(entry.file_name()))
                    .context("cannot copy a backup")?;
            }
        }
        let copy = scratch.join(COPY);
        let wrong = if copy.is_file() { self.inspected(&copy)? } else { Some("there is no file".into()) };
        removal::remove(&scratch).map_err(|left| Error::Environment(left.to_string()))?;
        Ok(wrong)
    }

    fn inspected(&self, copy: &Path) -> Result<Option<String>> {
        match self.files.inspect(self.launcher, copy, Some(&self.source)) {
            Ok(inspection) => Ok(finding(&inspection)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            // What cannot be opened at all cannot be restored.
            Err(error) => Ok(Some(error.to_string())),
        }
    }
}

/// A model of writes to a dataset by one writer.
fn one_writer(spec: &DatasetSpec) -> Result<Model> {
    let torrents = original_torrents(spec)?.torrents();
    let seed = spec.seed;
    Ok(Model {
        marks: Marks::Stamps,
        seed,
        writers: 1,
        rows_per_transaction: 3,
        multi_row_share: 0.5,
        torrents,
    })
}

/// The first finding of an inspection that compares a backup with the database, which nobody has changed.
fn finding(inspection: &Inspection) -> Option<String> {
    let failed = inspection.checks.iter().find(|check| check.result != Some(Check::Pass));
    let of_check = failed.map(|check| {
        let line = check.lines.first().cloned().unwrap_or_default();
        format!("{}: {line}", check.name)
    });
    match &inspection.differences {
        _ if of_check.is_some() => of_check,
        None => Some("it cannot be compared with the database".into()),
        Some(differences) => differences.first().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use machine::process::Cancel;
    use reports::record::Check;

    use super::*;
    use engines::files::Inspected;

    #[test]
    fn the_first_check_that_failed_or_the_first_difference_is_the_finding() {
        let check = |result, line: &str| Inspected {
            name: "file".into(),
            result: Some(result),
            lines: vec![line.into()],
        };
        let inspection = |result, differences: Option<Vec<String>>| Inspection {
            checks: vec![check(Check::Pass, ""), check(result, "3 of 9 pages")],
            differences,
            ..Inspection::default()
        };
        assert_eq!(finding(&inspection(Check::Pass, Some(Vec::new()))), None);
        let failed = finding(&inspection(Check::Fail, Some(vec!["table t is missing".into()])));
        assert_eq!(failed.as_deref(), Some("file: 3 of 9 pages"));
        let differs = finding(&inspection(Check::Pass, Some(vec!["table t is missing".into()])));
        assert_eq!(differs.as_deref(), Some("table t is missing"));
        assert!(finding(&inspection(Check::Pass, None)).is_some());
    }

    #[test]
    fn a_command_that_fails_is_an_input_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let (engine, files) = engines::registry::of_files();
        let source = directory.path().join("source.db");
        let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 0, seed: 1 };
        let examination = Examination {
            launcher: &launcher,
            engine,
            files,
            spec,
            source,
            bytes: 0,
            seed: 1,
            reorderings: 1,
        };
        let error = examination.back_up("echo no room >&2; exit 3", directory.path()).unwrap_err();
        assert!(
            matches!(&error, Error::Input(cause) if cause.contains("exit 3") && cause.contains("no room")),
            "{error}"
        );
    }
}
