//! Files on the measured disk: durability, the page cache, and space.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use memmap2::Mmap;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::statvfs;

/// Makes all files of a directory durable, and the directory itself.
///
/// # Errors
/// When one cannot be opened or synchronised.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(directory)?.sync_all()
}

/// Bytes of all files of a directory; 0 when there is none.
pub fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}

/// Writes back what earlier steps left dirty on the file system of `path`, so that it does not slow what is
/// measured next.
///
/// # Errors
/// When the kernel refuses.
pub fn settle(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: a plain system call on a descriptor that is open.
    if unsafe { libc::syncfs(file.as_raw_fd()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts a file's pages out of the page cache.
///
/// # Errors
/// When the file cannot be opened or synchronised: dirty pages would stay.
pub fn evict(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

/// Reads a file once, so that it is in the page cache as far as it fits, or until `stop` says so. Returns the bytes
/// read.
///
/// # Errors
/// When it cannot be read.
pub fn read_through(path: &Path, stop: &dyn Fn() -> bool) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            bytes if bytes == 0 || stop() => return Ok(total + bytes as u64),
            bytes => total += bytes as u64,
        }
    }
}

/// The share of a file that is in the page cache, from 0 to 1; 1 for an empty file.
///
/// # Errors
/// When it cannot be mapped.
pub fn cached_share(path: &Path) -> io::Result<f64> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(1.0);
    }
    // SAFETY: only asked about, never read.
    let map = unsafe { Mmap::map(&file)? };
    let page_bytes = procfs::page_size() as usize;
    let mut pages = vec![0u8; map.len().div_ceil(page_bytes)];
    // SAFETY: the vector has one byte for each page of the mapping, as mincore(2) asks.
    let status = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), pages.as_mut_ptr()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    let cached = pages.iter().filter(|page| **page & 1 == 1).count();
    Ok(cached as f64 / pages.len() as f64)
}

/// Bytes that may still be written on the file system of `path`.
///
/// # Errors
/// When the path does not exist.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let status = statvfs(path)?;
    Ok(status.blocks_available() * status.fragment_size())
}

/// Makes `to` a copy of `from` that shares its extents. False where the file system cannot; `to` does not
/// exist then.
///
/// # Errors
/// When `from` cannot be read or `to` not be made.
pub fn reflink(from: &Path, to: &Path) -> io::Result<bool> {
    let source = File::open(from)?;
    let target = File::create(to)?;
    // SAFETY: FICLONE takes the source's descriptor by value, and both are open.
    if unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONE, source.as_raw_fd()) } == 0 {
        target.sync_all().map(|()| true)
    } else {
        std::fs::remove_file(to).map(|()| false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cached_after_reading_and_not_after_eviction() {
        // Next to the build, because a temporary directory may live in memory, where nothing is ever evicted.
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        evict(&path).unwrap();
        assert!(cached_share(&path).unwrap() < 0.1);
        assert_eq!(read_through(&path, &|| false).unwrap(), 1 << 20);
        assert!(cached_share(&path).unwrap() > 0.9);
    }

    #[test]
    fn a_reflink_is_a_copy_or_nothing() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        std::fs::write(&from, "content").unwrap();
        if reflink(&from, &to).unwrap() {
            assert_eq!(std::fs::read(&to).unwrap(), b"content");
        } else {
            assert!(!to.exists());
        }
    }
}
