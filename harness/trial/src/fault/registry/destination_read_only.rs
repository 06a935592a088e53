//! `destination-read-only`: the artifacts' file system can be read but not written, as after a wrong mount option, a wrong
//! owner, or an error that made the kernel remount it.

use machine::error::Result;
use machine::file_system::FileSystem;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene, Separates};

inventory::submit! { FaultEntry::of::<DestinationReadOnly>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DestinationReadOnly {}

impl Definition for DestinationReadOnly {
    const NAME: &'static str = "destination-read-only";
    const SUMMARY: &'static str = "the file system of the artifacts is read-only during the backup";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for DestinationReadOnly {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        strategy
            .abilities()
            .continuous
            .map(|_| "continuous replication keeps files open, which prevents a file system from becoming read-only".into())
    }

    fn separates(&self) -> Separates {
        Separates::Destination(FileSystem::Xfs)
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let destination = scene.separate()?;
        destination.set_read_only(scene.launcher, true)?;
        let heal = || destination.set_read_only(scene.launcher, false);
        let proof = match std::fs::write(scene.artifact.join("probe"), "") {
            Err(error) => format!("a write to the destination fails: {error}"),
            // It is still writable.
            Ok(()) => return heal().map(|()| None),
        };
        Ok(Some(Injected { proof, heal: Box::new(heal) }))
    }
}
