//! Files on the measured disk: durability, page cache, and disk space.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::statvfs;
use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

/// The block size of stat(2).
const BLOCK_BYTES: u64 = 512;

/// All files below a directory, in the order of their names, or the file itself. Files that cannot be read are left
/// out: live databases create and remove files all the time.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(path).sort_by_file_name().into_iter().flatten();
    // A symbolic link is not a file of the directory, but the path itself may be one.
    let files =
        entries.filter(|entry| entry.file_type().is_file() || entry.depth() == 0 && entry.path().is_file());
    files.map(DirEntry::into_path).collect()
}

/// The same files, opened. Files that no longer exist are left out, too.
pub fn open_files(path: &Path) -> impl Iterator<Item = io::Result<File>> {
    files(path)
        .into_iter()
        .map(File::open)
        .filter(|opened| !matches!(opened, Err(error) if error.kind() == io::ErrorKind::NotFound))
}

/// The error of the operating system in an error of a walk: its number shows who caused it.
fn os_error(error: walkdir::Error) -> io::Error {
    error.into_io_error().expect("there are no loops, because links are not followed")
}

/// Makes everything below a directory durable, including directory entries. Files may still be created and removed
/// there; files that no longer exist are ignored. If a file cannot be opened because it is private to another user, the
/// whole file system is synchronised.
///
/// # Errors
/// When something cannot be synchronised.
pub fn sync_tree(directory: &Path) -> io::Result<()> {
    match sync_each(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => sync_file_system(directory),
        synced => synced,
    }
}

fn sync_each(directory: &Path) -> io::Result<()> {
    // The content of a directory comes before the directory.
    for entry in WalkDir::new(directory).contents_first(true) {
        let depth = entry.as_ref().map_or_else(walkdir::Error::depth, DirEntry::depth);
        match entry.map_err(os_error).and_then(|entry| sync_entry(&entry)) {
            Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn sync_entry(entry: &DirEntry) -> io::Result<()> {
    let kind = entry.file_type();
    // The directory itself may be given as a symbolic link.
    if kind.is_file() || kind.is_dir() || entry.depth() == 0 {
        File::open(entry.path())?.sync_all()
    } else {
        Ok(())
    }
}

/// Size of a file, or of all files below a directory; 0 if there is nothing.
pub fn bytes(path: &Path) -> u64 {
    files(path).iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Disk space used by a file, or by a directory with everything below it on the same file system, in bytes. A file with
/// several names counts once.
///
/// # Errors
/// When something below it cannot be read.
pub fn allocated_bytes(path: &Path) -> io::Result<u64> {
    let device = path.symlink_metadata()?.dev();
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for entry in WalkDir::new(path).follow_root_links(false).same_file_system(true) {
        let found = entry.and_then(|entry| entry.metadata()).map_err(os_error)?;
        // The root of another file system that is mounted below uses no space here.
        if found.dev() == device && seen.insert(found.ino()) {
            bytes += found.blocks() * BLOCK_BYTES;
        }
    }
    Ok(bytes)
}

/// Writes back all dirty data on the file system of `path`, so that it does not slow down the next measurement.
///
/// # Errors
/// When the kernel refuses.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(path)?)?)
}

/// Evicts the pages of a file, or of all files below a directory, from the page cache.
///
/// # Errors
/// When one cannot be opened or synchronised: dirty pages would stay in the cache.
pub fn evict(path: &Path) -> io::Result<()> {
    for file in open_files(path) {
        let file = file?;
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}

/// Reads a file, or all files below a directory, once, so that they are in the page cache as far as they fit. Stops
/// early when `stop` returns true. Returns the bytes read.
///
/// # Errors
/// When one cannot be read.
pub fn read_through(path: &Path, stop: &dyn Fn() -> bool) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    for file in open_files(path) {
        let mut file = file?;
        loop {
            let bytes = io::Read::read(&mut file, &mut buffer)?;
            total += bytes as u64;
            if stop() {
                return Ok(total);
            }
            if bytes == 0 {
                break;
            }
        }
    }
    Ok(total)
}

/// The share of a file, or of all files below a directory, that is in the page cache, from 0 to 1; 1 if there is
/// nothing.
///
/// # Errors
/// When one cannot be mapped.
pub fn cached_share(path: &Path) -> io::Result<f64> {
    let (mut cached, mut all) = (0, 0);
    for file in open_files(path) {
        let pages = page_residency(&file?)?;
        cached += pages.iter().filter(|page| **page & 1 == 1).count();
        all += pages.len();
    }
    Ok(if all == 0 { 1.0 } else { cached as f64 / all as f64 })
}

/// One byte per page, with the lowest bit set for pages that are in the page cache.
fn page_residency(file: &File) -> io::Result<Vec<u8>> {
    if file.metadata()?.len() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the mapping is only passed to mincore(2), and never read.
    let map = unsafe { Mmap::map(file)? };
    let page_bytes = procfs::page_size() as usize;
    let mut pages = vec![0u8; map.len().div_ceil(page_bytes)];
    // SAFETY: the vector has one byte for each page of the mapping, as mincore(2) requires.
    let status = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), pages.as_mut_ptr()) };
    if status == 0 { Ok(pages) } else { Err(io::Error::last_os_error()) }
}

/// Bytes that may still be written on the file system of `path`.
///
/// # Errors
/// When the path does not exist.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let status = statvfs(path)?;
    Ok(status.blocks_available() * status.fragment_size())
}

/// State of the page cache when the backup begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// The database was evicted from it.
    Cold,
    /// The database was read once, so that it is cached as far as memory allows.
    #[default]
    Warm,
}

impl Cache {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Cache::Cold => "cold",
            Cache::Warm => "warm",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_cached_after_reading_and_not_after_eviction() {
        // Not in the temporary directory, which may be in memory, where nothing is ever evicted.
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        evict(&path).unwrap();
        assert!(cached_share(&path).unwrap() < 0.1);
        assert_eq!(read_through(&path, &|| false).unwrap(), 1 << 20);
        assert!(cached_share(&path).unwrap() > 0.9);
    }

    #[test]
    fn a_tree_is_as_large_as_all_its_files() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::create_dir_all(directory.path().join("a/b")).unwrap();
        std::fs::write(directory.path().join("a/b/deep"), "12345").unwrap();
        std::fs::write(directory.path().join("high"), "123").unwrap();
        sync_tree(directory.path()).unwrap();
        assert_eq!(bytes(directory.path()), 8);
        assert_eq!(bytes(&directory.path().join("high")), 3);
        assert_eq!(read_through(directory.path(), &|| false).unwrap(), 8);
        assert_eq!(bytes(&directory.path().join("missing")), 0);
        assert!(allocated_bytes(&directory.path().join("missing")).is_err());
    }

    #[test]
    fn only_a_link_that_is_given_is_followed_and_errors_are_the_systems() {
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (real, given) = (place.path().join("real"), place.path().join("given"));
        std::fs::create_dir_all(real.join("b")).unwrap();
        let names = [OsStr::new("a"), OsStr::new("b/file"), OsStr::from_bytes(b"not \xff UTF-8")];
        names.iter().for_each(|name| std::fs::write(real.join(name), "123").unwrap());
        symlink(place.path(), real.join("around")).unwrap();
        symlink(real.join("a"), real.join("twin")).unwrap();
        symlink(&real, &given).unwrap();
        assert_eq!(files(&given), names.map(|name| given.join(name)));
        assert_eq!(files(&real.join("twin")), [real.join("twin")]);
        sync_tree(&given).unwrap();
        assert!(allocated_bytes(&given).unwrap() < allocated_bytes(&real).unwrap());
        let missing = sync_tree(&real.join("missing")).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn holes_and_additional_names_use_no_space() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let empty = allocated_bytes(directory.path()).unwrap();
        let file = File::create(directory.path().join("sparse")).unwrap();
        file.set_len(1 << 30).unwrap();
        assert!(allocated_bytes(directory.path()).unwrap() < empty + (1 << 20));
        std::fs::write(directory.path().join("full"), vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(directory.path().join("full"), directory.path().join("again")).unwrap();
        File::open(directory.path().join("full")).unwrap().sync_all().unwrap();
        let both = allocated_bytes(directory.path()).unwrap() - empty;
        assert!((1 << 20..3 << 19).contains(&both), "{both}");
    }
}
