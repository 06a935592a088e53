//! The cache of generated databases, so that each dataset is generated only once: what all engines share.
//!
//! A database has a directory `<profile>-<target bytes>-<seed>-<format version>`, to which an engine may add what else
//! its databases depend on. It contains:
//!
//! | name | content |
//! | --- | --- |
//! | a name that the engine chooses | the database or the server's data directory, which must not be written to |
//! | `manifest.json` | the description; written last, so a directory without it is incomplete |
//! | `lock` | held while the others are checked or changed |

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use machine::error::{Error, Result};
use model::dataset::{DatasetSpec, FORMAT_VERSION};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{PARTIAL, refused, sync_directory};

/// The file that describes the database in the same directory.
pub(crate) const MANIFEST: &str = "manifest.json";
const LOCK: &str = "lock";
/// Interval of attempts to get a lock that another run holds.
const POLL: Duration = Duration::from_millis(50);

/// The name of a dataset's directory, without what an engine adds.
pub(crate) fn directory_name(spec: &DatasetSpec) -> String {
    format!("{}-{}-{}-{FORMAT_VERSION}", spec.profile, spec.target_bytes, spec.seed)
}

/// Makes the directory of a dataset, removes leftovers of killed runs anywhere in the cache, and waits for the lock.
pub(crate) fn enter(cache_directory: &Path, directory: &Path, cancel: &dyn Fn() -> bool) -> Result<File> {
    fs::create_dir_all(directory).map_err(|error| refused("create", directory, error))?;
    remove_leftovers(cache_directory)?;
    lock(directory, cancel)
}

/// Waits for the lock. The kernel releases it when the process that holds it ends, for any reason.
fn lock(directory: &Path, cancel: &dyn Fn() -> bool) -> Result<File> {
    loop {
        if let Some(lock) = try_lock(directory)? {
            return Ok(lock);
        }
        if cancel() {
            return Err(Error::Interrupted);
        }
        thread::sleep(POLL);
    }
}

/// Takes the lock, unless another process has it.
pub(crate) fn try_lock(directory: &Path) -> Result<Option<File>> {
    let path = directory.join(LOCK);
    let file = File::create(&path).map_err(|error| refused("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(refused("lock", &path, error)),
    }
}

/// Removes unfinished files of killed runs, of this dataset and of all others: they may be tens of gigabytes.
fn remove_leftovers(cache_directory: &Path) -> Result<()> {
    for dataset in entries(cache_directory)? {
        for file in entries(&dataset)? {
            let is_partial = file.as_os_str().as_encoded_bytes().ends_with(PARTIAL.as_bytes());
            if is_partial && try_lock(&dataset)?.is_some() {
                remove(&file)?;
            }
        }
    }
    Ok(())
}

/// What is in a directory; nothing if it is a file.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| refused("read", directory, error);
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect(),
        // Another run may have removed it.
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
            Ok(Vec::new())
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// Removes a file, or a directory with its content, if it exists.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(refused("remove", path, error)),
        _ => Ok(()),
    }
}

/// The manifest in a directory, if it exists and is complete.
pub(crate) fn load<M: DeserializeOwned>(directory: &Path) -> Option<M> {
    serde_json::from_slice(&fs::read(directory.join(MANIFEST)).ok()?).ok()
}

/// Writes the manifest durably.
pub(crate) fn save(manifest: &impl Serialize, directory: &Path) -> Result<()> {
    let json = serde_json::to_vec_pretty(manifest).context("a manifest is always valid JSON")?;
    let path = directory.join(MANIFEST);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&json)?;
        file.sync_all()
    });
    written.map_err(|error| refused("write", &path, error))?;
    sync_directory(directory)
}
