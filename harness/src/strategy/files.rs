//! What strategies share whose artifact is a copy of the database's files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tool::CP;
use super::watch::{Halt, Watch};
use super::{RestoreContext, spawn};

/// A database and what SQLite keeps beside it, as far as it exists.
pub fn with_companions(database: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-journal"]
        .into_iter()
        .map(|suffix| PathBuf::from(format!("{}{suffix}", database.display())))
        .filter(|file| file.exists())
        .collect()
}

/// Runs the machine's `cp` on files and makes the copies durable.
pub fn copy(watch: &mut Watch, files: &[PathBuf], directory: &Path) -> Result<(), Halt> {
    let mut command = Command::new(CP.command);
    // Artifact and live database must not share extents: that would be a snapshot, not a copy.
    command
        .args(["--reflink=never", "--"])
        .args(files)
        .arg(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let child = spawn(watch, command)?;
    watch.run(vec![child])?;
    watch.make_durable()
}

/// Restores by copying the artifact's files.
pub fn restore(context: &mut RestoreContext<'_>) -> Result<(), Halt> {
    let name = context.database.file_name().expect("a database is a file");
    let files = with_companions(&context.artifact.join(name));
    if files.is_empty() {
        return Err(Halt::Failed("the artifact holds no database file".into()));
    }
    copy(context.watch, &files, context.place)
}
