//! The job that unpacks a backup.

use std::path::PathBuf;

use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use crate::pack::PackedFile;
use crate::unpack::unpack;

/// Unpacks a tar file into an empty directory, compares each file with the list, and makes all durable.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unpack {
    /// The tar file.
    pub tar: PathBuf,
    /// An empty directory, or one that does not exist.
    pub directory: PathBuf,
    /// What must be in the tar file: that of the manifest.
    pub files: Vec<PackedFile>,
}

impl Job for Unpack {
    const NAME: &'static str = "offsite-unpack";
    /// Bytes of all files.
    type Answer = u64;

    fn title(&self) -> String {
        "unpacking of the backup".to_owned()
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<u64> {
        Ok(unpack(&self.tar, &self.directory, Some(&self.files), report)?)
    }
}
