//! Where datasets, working copies and results lie, and how whatever a killed run left there is found again.
//!
//! A run works in `work/<name>/` and holds a lock on `work/<name>.lock` for as long as it lives. The kernel
//! drops the lock with the process, so a directory whose lock is free belongs to a run that was killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::{Error, Result};
use crate::measure::storage::directory_bytes;
use crate::process::kill_marked;

/// The directory of all that Backup Drill keeps.
pub struct Workspace {
    root: PathBuf,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Directories of killed runs.
    pub runs: usize,
    /// Processes that they had left.
    pub processes: usize,
}

/// The working directory of a run: removed with everything in it when dropped.
pub struct WorkDirectory {
    path: PathBuf,
    lock: File,
}

impl Workspace {
    /// Opens a workspace, new or existing.
    ///
    /// # Errors
    /// [`Error::Input`] when the directory cannot be created or written to.
    pub fn open(root: &Path) -> Result<Workspace> {
        let refused = |error: std::io::Error| {
            Error::Input(format!("cannot write to {}: {error}; choose another with --dir", root.display()))
        };
        std::fs::create_dir_all(root.join("work")).map_err(refused)?;
        std::fs::create_dir_all(root.join("cache")).map_err(refused)?;
        tempfile::tempfile_in(root).map_err(refused)?;
        let root = root.canonicalize().map_err(refused)?;
        Ok(Workspace { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where generated datasets are kept.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Removes what killed runs left: processes first, then directories.
    ///
    /// # Errors
    /// When a leftover cannot be removed.
    pub fn sweep(&self) -> Result<Swept> {
        let _guard = self.guard()?;
        let mut swept = Swept::default();
        for entry in std::fs::read_dir(self.work()).context("cannot list the working directories")?.flatten()
        {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != "lock") || path.file_stem() == Some(GUARD.as_ref()) {
                continue;
            }
            let lock = File::open(&path).context("cannot open a lock")?;
            if lock.try_lock().is_err() {
                continue;
            }
            let directory = path.with_extension("");
            swept.processes += kill_marked(&directory);
            remove(&directory)?;
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            swept.runs += 1;
        }
        Ok(swept)
    }

    /// Makes the working directory of a run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn work_directory(&self, name: &str) -> Result<WorkDirectory> {
        let _guard = self.guard()?;
        let name = format!("{name}-{}", std::process::id());
        let lock = File::create(self.work().join(format!("{name}.lock"))).context("cannot create a lock")?;
        lock.lock().context("cannot lock the working directory")?;
        let path = self.work().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(WorkDirectory { path, lock })
    }

    /// Bytes of the cached datasets.
    pub fn cached_bytes(&self) -> u64 {
        let entries = std::fs::read_dir(self.cache()).into_iter().flatten().flatten();
        entries.map(|entry| directory_bytes(&entry.path())).sum()
    }

    /// Removes all cached datasets.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn clear_cache(&self) -> Result<()> {
        remove(&self.cache())?;
        std::fs::create_dir(self.cache()).context("cannot create the cache again")?;
        Ok(())
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Held while working directories are made or swept, so that a sweep never meets a half-made one.
    fn guard(&self) -> Result<File> {
        let guard =
            File::create(self.work().join(format!("{GUARD}.lock"))).context("cannot create a lock")?;
        guard.lock().context("cannot lock the working directories")?;
        Ok(guard)
    }
}

const GUARD: &str = "guard";

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Environment(format!("cannot remove {}: {error}", directory.display())))
        }
        _ => Ok(()),
    }
}

impl WorkDirectory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        kill_marked(&self.path);
        // What cannot be removed now is found by the next start, as long as its lock file is there.
        if std::fs::remove_dir_all(&self.path).is_ok() {
            let _ = std::fs::remove_file(self.path.with_extension("lock"));
        }
        let _ = self.lock.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_what_a_killed_run_left_and_nothing_of_a_live_one() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(root.path()).unwrap();
        let live = workspace.work_directory("live").unwrap();
        let dead = workspace.root().join("work/dead-1");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("database.sqlite"), "left behind").unwrap();
        std::fs::write(workspace.root().join("work/dead-1.lock"), "").unwrap();

        assert_eq!(workspace.sweep().unwrap(), Swept { runs: 1, processes: 0 });
        assert!(!dead.exists() && live.path().exists());
        assert_eq!(workspace.sweep().unwrap(), Swept::default());
        let path = live.path().to_owned();
        drop(live);
        assert!(!path.exists() && !path.with_extension("lock").exists());
    }
}
