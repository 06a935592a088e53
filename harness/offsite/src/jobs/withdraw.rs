//! The job that removes a published backup.

use std::path::PathBuf;

use machine::process::{Cancel, Launcher};
use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};

use crate::destination::{DestinationChoice, Moved, ObjectName, Operation, registry};

/// Removes a backup from its destination: first the manifest, so that there is never a manifest without its object.
#[derive(Debug, Serialize, Deserialize)]
pub struct Withdraw {
    /// Where it is.
    pub destination: DestinationChoice,
    /// The name of its manifest.
    pub manifest: ObjectName,
    /// The name of its object.
    pub object: ObjectName,
    /// With which commands are marked.
    pub work_directory: PathBuf,
}

impl Job for Withdraw {
    const NAME: &'static str = "offsite-withdraw";
    /// What removing it moved.
    type Answer = Moved;

    fn title(&self) -> String {
        format!("removal of a backup from the destination '{}'", self.destination.name)
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Moved> {
        let destination = registry::configure(&self.destination)?;
        let launcher = Launcher::new(&self.work_directory, &Cancel::default());
        let mut operation = Operation { launcher: &launcher, report };
        let mut moved = destination.delete(&self.manifest, &mut operation)?;
        moved.add(destination.delete(&self.object, &mut operation)?);
        Ok(moved)
    }
}
