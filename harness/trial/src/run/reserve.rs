//! Disk space that is reserved for saving results, even when a trial fills the disk.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::posix_fallocate;

/// Disk space that is reserved until this is dropped. The file has no name, so that the kernel frees it even after a
/// kill.
pub struct Reserve {
    _file: File,
}

impl Reserve {
    /// Reserves this many bytes on the file system of a directory.
    ///
    /// # Errors
    /// When it has less free space.
    pub fn take(directory: &Path, bytes: u64) -> io::Result<Reserve> {
        let file = tempfile::tempfile_in(directory)?;
        posix_fallocate(&file, 0, bytes as i64)?;
        Ok(Reserve { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_reserved_is_allocated_and_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::take(directory.path(), 1 << 20).unwrap();
        assert!(reserve._file.metadata().unwrap().blocks() * 512 >= 1 << 20);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn reserving_more_than_the_free_space_fails() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Reserve::take(directory.path(), 1 << 60).is_err());
    }
}
