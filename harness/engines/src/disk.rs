//! Places on the disk for generated databases, and messages about them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use machine::error::{Error, Result};
use nix::sys::statvfs::statvfs;

/// Suffix of a database until it is complete.
pub(crate) const PARTIAL: &str = ".partial";

/// The path of the database until it is complete.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    with_suffix(path, PARTIAL)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| refused("write", directory, error))
}

/// The message for the user about an error of the operating system.
pub(crate) fn refused(action: &str, place: &Path, error: io::Error) -> Error {
    let place = place.display();
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "create the directory first",
        io::ErrorKind::NotADirectory => "choose a path below a directory",
        io::ErrorKind::PermissionDenied => "choose a place that you may write to, or change its permissions",
        io::ErrorKind::ReadOnlyFilesystem => "choose a place on a file system that can be written to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space or choose another place"
        }
        _ => "check the disk and its file system, or choose another place",
    };
    Error::Environment(format!("cannot {action} {place}: {error}; {cure}"))
}

/// Refuses a directory without enough free space for this many bytes.
pub(crate) fn require_room(directory: &Path, bytes: u64) -> Result<()> {
    let stat = statvfs(directory).map_err(|error| refused("use", directory, error.into()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    // A file system that reports no blocks does not count them, so its free space is unknown.
    if stat.blocks() > 0 && free < bytes {
        return Err(Error::Environment(format!(
            "{} has {} free, but the dataset needs {}: free some space, choose another place or a smaller dataset",
            directory.display(),
            ByteSize(free),
            ByteSize(bytes)
        )));
    }
    Ok(())
}

/// The path with this suffix.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
