//! The job that transforms a file.

use std::path::PathBuf;

use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::transform::{Direction, Keys, TransformChoice, registry};

/// Transforms a file into a new one, in either direction.
#[derive(Debug, Serialize, Deserialize)]
pub struct Transform {
    /// The transform.
    pub transform: TransformChoice,
    /// Which way.
    pub direction: Direction,
    /// The file that is read.
    pub from: PathBuf,
    /// The file that is written, which must not exist.
    pub to: PathBuf,
    /// The file of the generated secret key, if the transform needs one and its settings name none.
    pub identity_file: PathBuf,
}

impl Job for Transform {
    const NAME: &'static str = "offsite-transform";
    /// The content of the new file.
    type Answer = Content;

    fn title(&self) -> String {
        let name = &self.transform.name;
        match self.direction {
            Direction::Apply => format!("transform '{name}'"),
            Direction::Revert => format!("reversal of the transform '{name}'"),
        }
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Content> {
        let transform = registry::configure(&self.transform)?;
        let keys = Keys { identity_file: &self.identity_file };
        Ok(transform.run(self.direction, keys, &self.from, &self.to, report)?)
    }
}
