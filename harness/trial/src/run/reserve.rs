//! Room on the disk that is kept for what has to be saved, whatever a trial leaves of the rest.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::posix_fallocate;

/// Disk space that is taken until this is dropped. It has no name, so that nothing of it stays, not even after a kill.
pub struct Reserve {
    _file: File,
}

impl Reserve {
    /// Takes so much of the file system of a directory.
    ///
    /// # Errors
    /// When there is not so much left.
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
    fn more_than_there_is_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Reserve::take(directory.path(), 1 << 60).is_err());
    }
}
