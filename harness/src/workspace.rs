//! Where datasets, working copies and results lie, and how whatever a killed run left there is found again.
//!
//! A run works in `work/<name>/` and holds a lock on `work/<name>.lock` for as long as it lives. The kernel
//! drops the lock with the process, so a directory whose lock is free belongs to a run that was killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::container;
use crate::error::{Error, Result};
use crate::file_system;
use crate::measure::storage::bytes;
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
    /// Containers that they had left.
    pub containers: usize,
    /// File systems that they had left mounted.
    pub file_systems: usize,
}

/// The working directory of a run: removed with everything in it when dropped.
pub struct WorkDirectory {
    path: PathBuf,
    lock_path: PathBuf,
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
        let text =
            |path: PathBuf| if path.to_str().is_some() { Ok(path) } else { Err(Error::not_utf8(&path)) };
        text(std::path::absolute(root).map_err(refused)?)?;
        std::fs::create_dir_all(root).map_err(refused)?;
        // It may be a link to elsewhere.
        let root = text(root.canonicalize().map_err(refused)?)?;
        std::fs::create_dir_all(root.join("work")).map_err(refused)?;
        std::fs::create_dir_all(root.join("cache")).map_err(refused)?;
        tempfile::tempfile_in(&root).map_err(refused)?;
        Ok(Workspace { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where generated datasets and fetched programs are kept.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Removes what killed runs left: first what uses files, then mounts, then directories.
    ///
    /// # Errors
    /// When a leftover cannot be removed.
    pub fn sweep(&self) -> Result<Swept> {
        let _guard = self.guard()?;
        let mut swept = Swept::default();
        let mut alone = true;
        for path in self.locks()? {
            // A run that ends now takes its lock away itself.
            let Ok(lock) = File::open(&path) else { continue };
            if lock.try_lock().is_err() {
                alone = false;
                continue;
            }
            let directory = path.with_extension("");
            swept.processes += kill_marked(&directory);
            swept.containers += container::sweep(&directory);
            swept.file_systems += file_system::sweep(&directory)?;
            remove(&directory)?;
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::Environment(format!("cannot remove {}: {error}", path.display())));
                }
                _ => swept.runs += 1,
            }
        }
        if alone {
            self.remove_staged()?;
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
        let lock_path = self.work().join(format!("{name}.lock"));
        let lock = File::create(&lock_path).context("cannot create a lock")?;
        lock.lock().context("cannot lock the working directory")?;
        let path = self.work().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(WorkDirectory { path, lock_path, lock })
    }

    /// Bytes of the cached datasets.
    pub fn cached_bytes(&self) -> u64 {
        bytes(&self.cache())
    }

    /// Removes all cached datasets.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn clear_cache(&self) -> Result<()> {
        let _guard = self.guard()?;
        let is_live = |path: PathBuf| File::open(path).is_ok_and(|lock| lock.try_lock().is_err());
        if self.locks()?.into_iter().any(is_live) {
            let root = self.root.display();
            return Err(Error::Input(format!(
                "a run is using {root}: wait for its end, then remove its datasets"
            )));
        }
        remove(&self.cache())?;
        std::fs::create_dir(self.cache()).context("cannot create the cache again")?;
        Ok(())
    }

    /// The lock files of all runs, living and dead.
    fn locks(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.work()).context("cannot list the working directories")?;
        let paths = entries.flatten().map(|entry| entry.path());
        let is_lock = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "lock") && path.file_stem() != Some(GUARD.as_ref())
        };
        Ok(paths.filter(is_lock).collect())
    }

    /// Removes results that a killed run had written and not yet put in place.
    fn remove_staged(&self) -> Result<()> {
        let is_staged =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(STAGED));
        let below = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
        let places: Vec<PathBuf> = below(&self.root).map(|entry| entry.path()).collect();
        let inside = places.iter().filter(|path| path.is_dir() && !path.is_symlink());
        let inside: Vec<PathBuf> = inside.flat_map(|place| below(place).map(|entry| entry.path())).collect();
        for path in places.into_iter().chain(inside).filter(is_staged) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
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
/// What is written under a name that begins so is renamed once it is complete.
pub const STAGED: &str = ".staged-";

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
        container::sweep(&self.path);
        // What cannot be removed now is found by the next start, as long as its lock file is there.
        if file_system::sweep(&self.path).is_ok() && std::fs::remove_dir_all(&self.path).is_ok() {
            let _ = std::fs::remove_file(&self.lock_path);
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
        let live = workspace.work_directory("live.v2").unwrap();
        let dead = workspace.root().join("work/dead-1");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("database.sqlite"), "left behind").unwrap();
        std::fs::write(workspace.root().join("work/dead-1.lock"), "").unwrap();
        let results = workspace.root().join("old-run");
        std::fs::create_dir(&results).unwrap();
        std::fs::write(results.join(".staged-results.json"), "half").unwrap();

        assert_eq!(workspace.sweep().unwrap(), Swept { runs: 1, ..Swept::default() });
        assert!(!dead.exists() && live.path().exists());
        assert_eq!(workspace.sweep().unwrap(), Swept::default());
        assert!(workspace.clear_cache().is_err(), "a live run may need the datasets");
        let path = live.path().to_owned();
        drop(live);
        workspace.sweep().unwrap();
        assert_eq!(std::fs::read_dir(&results).unwrap().count(), 0);
        workspace.clear_cache().unwrap();
        assert!(!path.exists() && std::fs::read_dir(workspace.work()).unwrap().count() == 1);
    }
}
