//! The job that packs an artifact.

use std::path::PathBuf;

use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use crate::pack::{Packed, pack};

/// Packs a directory into a new tar file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pack {
    /// The artifact.
    pub directory: PathBuf,
    /// The tar file, which must not exist.
    pub tar: PathBuf,
}

impl Job for Pack {
    const NAME: &'static str = "offsite-pack";
    type Answer = Packed;

    fn title(&self) -> String {
        "packing of the artifact".to_owned()
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Packed> {
        Ok(pack(&self.directory, &self.tar, report)?)
    }
}
