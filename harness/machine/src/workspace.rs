//! The directories of datasets, working copies and results, and the cleanup after killed runs.
//!
//! A run works in `work/<name>/` and holds a lock on `work/<name>.lock` until it ends. The kernel releases the lock
//! with the process, so a directory with a free lock belongs to a run that was killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::{Error, Result};
use crate::measure::storage::{allocated_bytes, bytes};
use crate::process::kill_marked;
use crate::removal::{self, Leftover};
use crate::{container, file_system};

/// The directory in which Backup Drill keeps all its files.
pub struct Workspace {
    root: PathBuf,
}

/// What a sweep removed, and what it could not remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Directories of killed runs.
    pub runs: usize,
    /// Processes that they left running.
    pub processes: usize,
    /// Containers that they left.
    pub containers: usize,
    /// File systems that they left mounted.
    pub file_systems: usize,
    /// Files of ended runs that could not be removed. They do not affect later runs, and the next sweep tries again.
    pub leftovers: Vec<Leftover>,
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
        // It may be a symbolic link.
        let root = text(root.canonicalize().map_err(refused)?)?;
        std::fs::create_dir_all(root.join("work")).map_err(refused)?;
        std::fs::create_dir_all(root.join(CACHE)).map_err(refused)?;
        tempfile::tempfile_in(&root).map_err(refused)?;
        Ok(Workspace { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of generated datasets and fetched programs.
    pub fn cache(&self) -> PathBuf {
        self.root.join(CACHE)
    }

    /// Removes what killed runs left: first processes and containers, which use files, then mounts, then directories.
    /// Anything that cannot be removed is reported, but is not an error: each run works in its own directory.
    ///
    /// # Errors
    /// When the workspace cannot be read.
    pub fn sweep(&self) -> Result<Swept> {
        let _guard = self.guard()?;
        let mut swept = Swept::default();
        let mut alone = true;
        for path in self.locks()? {
            // A run that is ending now removes its lock file itself.
            let Ok(lock) = File::open(&path) else { continue };
            if lock.try_lock().is_err() {
                alone = false;
                continue;
            }
            let directory = path.with_extension("");
            swept.processes += kill_marked(&directory);
            swept.containers += container::sweep(&directory);
            // The removal below reports anything that cannot be unmounted.
            swept.file_systems += file_system::sweep(&directory).unwrap_or(0);
            // The lock file is kept if the directory cannot be removed, so that the next sweep finds it.
            match removal::remove(&directory).and_then(|()| removal::remove_file(&path)) {
                Ok(()) => swept.runs += 1,
                Err(leftover) => swept.leftovers.push(leftover),
            }
        }
        if alone {
            swept.leftovers.extend(self.remove_staged());
        }
        Ok(swept)
    }

    /// Creates the working directory of a run.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn work_directory(&self, name: &str) -> Result<WorkDirectory> {
        let _guard = self.guard()?;
        let mut name = format!("{name}-{}", std::process::id());
        // Process ids are reused, and the directory of an earlier process may still exist.
        while self.work().join(&name).exists() {
            name.push('+');
        }
        let lock_path = self.work().join(format!("{name}.lock"));
        let lock = File::create(&lock_path).context("cannot create a lock")?;
        lock.lock().context("cannot lock the working directory")?;
        let path = self.work().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(WorkDirectory { path, lock_path, lock })
    }

    /// Size of the cached datasets and programs in bytes.
    pub fn cached_bytes(&self) -> u64 {
        bytes(&self.cache())
    }

    /// Removes all cached datasets and programs.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn clear_cache(&self) -> Result<()> {
        let _guard = self.guard()?;
        self.require_quiet("datasets")?;
        removal::remove(&self.cache()).map_err(|leftover| Error::Environment(leftover.to_string()))?;
        std::fs::create_dir(self.cache()).context("cannot create the cache again")?;
        Ok(())
    }

    /// Size in bytes of the evidence that runs have kept in this workspace.
    pub fn kept_bytes(&self) -> u64 {
        self.kept().iter().filter_map(|kept| allocated_bytes(kept).ok()).sum()
    }

    /// Removes the evidence that runs have kept in this workspace. Returns what could not be removed.
    ///
    /// # Errors
    /// [`Error::Input`] while a run may add to it.
    pub fn clear_kept(&self) -> Result<Vec<Leftover>> {
        let _guard = self.guard()?;
        self.require_quiet("evidence")?;
        Ok(self.kept().iter().filter_map(|kept| removal::remove(kept).err()).collect())
    }

    fn kept(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(&self.root).into_iter().flatten().flatten().map(|entry| entry.path());
        // Only directories with results: a directory of the user may have one with the same name.
        let runs = runs.filter(|run| !run.is_symlink() && run.join(RESULTS).is_file());
        runs.map(|run| run.join(KEPT)).filter(|kept| kept.is_dir()).collect()
    }

    fn require_quiet(&self, what: &str) -> Result<()> {
        let is_live = |path: PathBuf| File::open(path).is_ok_and(|lock| lock.try_lock().is_err());
        if self.locks()?.into_iter().any(is_live) {
            let root = self.root.display();
            return Err(Error::Input(format!(
                "a run is using {root}: wait until it has ended, then remove the {what}"
            )));
        }
        Ok(())
    }

    /// The lock files of all runs, running and ended.
    fn locks(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.work()).context("cannot list the working directories")?;
        let paths = entries.flatten().map(|entry| entry.path());
        let is_lock = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "lock") && path.file_stem() != Some(GUARD.as_ref())
        };
        Ok(paths.filter(is_lock).collect())
    }

    /// Removes files that a killed run had written but not yet renamed. Returns what could not be removed.
    fn remove_staged(&self) -> Vec<Leftover> {
        let is_staged =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(STAGED));
        let below = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
        let places: Vec<PathBuf> = below(&self.root).map(|entry| entry.path()).collect();
        let inside = places.iter().filter(|path| path.is_dir() && !path.is_symlink());
        let inside: Vec<PathBuf> = inside.flat_map(|place| below(place).map(|entry| entry.path())).collect();
        let staged = places.into_iter().chain(inside).filter(is_staged);
        staged.filter_map(|path| removal::remove_file(&path).err()).collect()
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Held while working directories are created or swept, so that a sweep never sees an incomplete one.
    fn guard(&self) -> Result<File> {
        let guard =
            File::create(self.work().join(format!("{GUARD}.lock"))).context("cannot create a lock")?;
        guard.lock().context("cannot lock the working directories")?;
        Ok(guard)
    }
}

/// The name of the directory of generated datasets and fetched programs.
pub const CACHE: &str = "cache";
/// The name of the results file in the directory of a run.
pub const RESULTS: &str = "results.json";
/// The name of the directory of kept evidence in the directory of a run.
pub const KEPT: &str = "kept";
const GUARD: &str = "guard";
/// Prefix of the names of files that are being written; they are renamed when complete.
pub const STAGED: &str = ".staged-";

impl WorkDirectory {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        kill_marked(&self.path);
        container::sweep(&self.path);
        // If this fails, the next start removes it, because its lock file still exists.
        let _ = removal::remove(&self.path).and_then(|()| removal::remove_file(&self.lock_path));
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
    #[test]
    fn what_cannot_be_removed_is_told_each_time_and_is_no_obstacle() {
        // Next to the build, because a file system in memory has no file flags.
        let root = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let workspace = Workspace::open(root.path()).unwrap();
        let name = format!("run-{}", std::process::id());
        let directory = workspace.work().join(&name);
        let locked = directory.join("copy.db");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&locked, "locked").unwrap();
        std::fs::write(workspace.work().join(format!("{name}.lock")), "").unwrap();
        let chattr = |flag: &str| std::process::Command::new("chattr").arg(flag).arg(&locked).status();
        if !chattr("+i").is_ok_and(|status| status.success()) {
            return;
        }
        let swept: Vec<Swept> = (0..2).map(|_| workspace.sweep().unwrap()).collect();
        let beside = workspace.work_directory("run").map(|work| work.path().to_owned());
        assert!(chattr("-i").unwrap().success());
        for swept in swept {
            assert_eq!((swept.runs, swept.leftovers.len()), (0, 1));
            assert_eq!(swept.leftovers[0].path, locked);
        }
        assert_ne!(beside.unwrap(), directory, "each run has its own directory");
        assert_eq!(workspace.sweep().unwrap(), Swept { runs: 1, ..Swept::default() });
        assert!(!directory.exists());
    }
}
