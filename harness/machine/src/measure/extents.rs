//! In how many extents a file lies, and breaking it up into many.
//!
//! A file is shared as quickly as it has few extents. Years of snapshots, and of updates in between, leave many.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;

use super::calibration::duplicate;
use super::storage::opened;
use crate::error::Result;
use crate::process::Launcher;

/// What file systems share and move at least.
const PAGE_BYTES: u64 = 4096;

/// `struct fiemap` of linux/fiemap.h, without room for any extent: then the kernel only counts them.
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

/// Extents of a file, or of all files below a directory.
///
/// # Errors
/// When the file system does not tell.
pub fn count(path: &Path) -> io::Result<u64> {
    let mut extents = 0;
    for file in opened(path) {
        let file = file?;
        let mut map = Fiemap { length: u64::MAX, ..Fiemap::default() };
        // SAFETY: the kernel writes to nothing but this structure, which says that there is room for no extent.
        if unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP, &mut map) } != 0 {
            return Err(io::Error::last_os_error());
        }
        extents += u64::from(map.mapped_extents);
    }
    Ok(extents)
}

/// Breaks a file up into about as many extents, on a file system that copies on write what another file shares: pages
/// at equal distances are written once more, with what is in them.
///
/// # Errors
/// When the file cannot be copied, read or written.
pub fn break_up(launcher: &Launcher, path: &Path, extents: u64) -> Result<()> {
    let shared = path.with_extension("shared");
    duplicate(launcher, path, &shared)?;
    rewrite(path, extents).with_context(|| format!("cannot break {} up", path.display()))?;
    std::fs::remove_file(&shared).with_context(|| format!("cannot remove {}", shared.display()))?;
    Ok(())
}

fn rewrite(path: &Path, extents: u64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let pages = file.metadata()?.len() / PAGE_BYTES;
    // A page that moves away leaves a piece before it and a piece after it.
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
    fn a_file_that_is_broken_up_has_the_same_content() {
        // Next to the build, because a temporary directory may live in memory, where there are no extents.
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        break_up(&launcher, &path, 100).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert!(count(directory.path()).unwrap() > 0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
