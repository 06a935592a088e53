//! Counts the extents of a file, and fragments it into many.
//!
//! The fewer extents a file has, the faster it can be shared. Years of snapshots with updates in between leave many.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;

use super::calibration::duplicate;
use super::storage::open_files;
use crate::error::Result;
use crate::process::Launcher;

/// The smallest unit that file systems share and move.
const PAGE_BYTES: u64 = 4096;

/// `struct fiemap` of linux/fiemap.h, without space for extents, so that the kernel only counts them.
#[repr(C)]
#[derive(Default)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

/// `FS_IOC_FIEMAP` of linux/fs.h.
const FIEMAP: libc::Ioctl = nix::request_code_readwrite!(b'f', 11, size_of::<Fiemap>());

/// Number of extents of a file, or of all files below a directory.
///
/// # Errors
/// When the file system does not report them.
pub fn count(path: &Path) -> io::Result<u64> {
    let mut extents = 0;
    for file in open_files(path) {
        let file = file?;
        let mut map = Fiemap { length: u64::MAX, ..Fiemap::default() };
        // SAFETY: the kernel only writes to this structure, which declares no space for extents.
        if unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP, &mut map) } != 0 {
            return Err(io::Error::last_os_error());
        }
        extents += u64::from(map.mapped_extents);
    }
    Ok(extents)
}

/// Fragments a file into about this many extents, on a file system that copies shared blocks on write: pages at equal
/// distances are rewritten with the same content.
///
/// # Errors
/// When the file cannot be copied, read or written.
pub fn fragment(launcher: &Launcher, path: &Path, extents: u64) -> Result<()> {
    let shared = path.with_extension("shared");
    duplicate(launcher, path, &shared)?;
    rewrite(path, extents).with_context(|| format!("cannot fragment {}", path.display()))?;
    std::fs::remove_file(&shared).with_context(|| format!("cannot remove {}", shared.display()))?;
    Ok(())
}

fn rewrite(path: &Path, extents: u64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let pages = file.metadata()?.len() / PAGE_BYTES;
    // Each page that moves leaves one extent before it and one after it.
    let distance = (2 * pages / extents.max(1)).max(2);
    let mut page = [0; PAGE_BYTES as usize];
    for number in (1..pages).step_by(distance as usize) {
        file.read_exact_at(&mut page, number * PAGE_BYTES)?;
        file.write_all_at(&page, number * PAGE_BYTES)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cancel;

    #[test]
    fn a_fragmented_file_has_the_same_content() {
        // Not in the temporary directory, which may be in memory, where files have no extents.
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        fragment(&launcher, &path, 100).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert!(count(directory.path()).unwrap() > 0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
