//! A file that is there only when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use machine::error::Result;

use crate::content::cannot;

/// A new file. It is removed when it is dropped before [`OutputFile::keep`] was called.
pub(crate) struct OutputFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl OutputFile {
    /// Creates it; a file of that name must not exist.
    pub(crate) fn create(path: &Path) -> Result<OutputFile> {
        let file = File::options().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(|error| cannot("create", path, &error))?;
        Ok(OutputFile { path: path.to_owned(), file, is_kept: false })
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The error of an operation on it.
    pub(crate) fn cannot(&self, operation: &str, error: &io::Error) -> machine::error::Error {
        cannot(operation, &self.path, error)
    }

    /// It is complete.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // It may have been removed by somebody else.
            let _ = fs::remove_file(&self.path);
        }
    }
}
