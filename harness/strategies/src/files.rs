//! Shared code of strategies that handle files: copies of the database, and directories of a trial.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use machine::error::{Error, Result};
use machine::measure::storage;
use machine::process::Launcher;
use machine::removal;
use machine::tool::CP;

use crate::contract::{RestoreContext, RestoreResult, StrategyFailure};
use crate::watch::Watch;

/// A SQLite file with its WAL and journal, if they exist; or a data directory.
pub fn of_database(data: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-journal"]
        .into_iter()
        .map(|suffix| PathBuf::from(format!("{}{suffix}", data.display())))
        .filter(|path| path.exists())
        .collect()
}

/// Runs `cp` on files and directories. The copies are not durable yet.
pub fn copy(
    watch: &mut Watch,
    sources: &[PathBuf],
    directory: &Path,
) -> std::result::Result<(), StrategyFailure> {
    // Artifact and live database must not share extents: that would be a snapshot, not a copy.
    cp(watch, "--reflink=never", sources, directory)
}

/// Runs `cp` with the given `--reflink` option.
fn cp(
    watch: &mut Watch,
    reflink: &str,
    sources: &[PathBuf],
    directory: &Path,
) -> std::result::Result<(), StrategyFailure> {
    let mut command = Command::new(CP.command);
    command
        .args(["-a", reflink, "--"])
        .args(sources)
        .arg(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let child = watch.spawn(command)?;
    watch.run(vec![child])
}

/// Restores by copying the artifact's files.
pub fn restore(context: &mut RestoreContext<'_>) -> RestoreResult {
    let artifact = context.artifact;
    restore_from(context, artifact, "--reflink=never")
}

/// Restores by running `cp` on the database in the given directory.
pub fn restore_from(context: &mut RestoreContext<'_>, directory: &Path, reflink: &str) -> RestoreResult {
    let data = context.subject.data();
    let name = data.file_name().expect("a database has a name");
    let place = data.parent().expect("a database lies in a directory").to_owned();
    let sources = of_database(&directory.join(name));
    if sources.is_empty() {
        return Err(context.watch.failed("the artifact contains no database".into()));
    }
    cp(context.watch, reflink, &sources, &place)?;
    context.watch.complete_restore()
}

/// An empty directory of the trial with this name, also after an operation that failed and left one.
///
/// # Errors
/// [`Error::Environment`] when it cannot be made.
pub fn empty_directory(launcher: &Launcher, name: &str) -> Result<PathBuf> {
    let directory = launcher.work_directory().join(name);
    if directory.exists() {
        remove_directory(&directory)?;
    }
    fs::create_dir(&directory)
        .map_err(|error| Error::Environment(format!("cannot create {}: {error}", directory.display())))?;
    Ok(directory)
}

/// Removes a directory with everything in it.
///
/// # Errors
/// [`Error::Environment`] when something cannot be removed.
pub fn remove_directory(directory: &Path) -> Result<()> {
    removal::remove(directory).map_err(|left| Error::Environment(left.to_string()))
}

/// The files below a directory without hidden ones, which are those of a server.
pub fn visible(directory: &Path) -> Vec<PathBuf> {
    let is_hidden =
        |file: &Path| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files = storage::files(directory);
    files.retain(|file| !is_hidden(file));
    files
}
