//! `destination-full`: the file system of the artifacts has too little room for another backup.

use std::fs::File;

use bytesize::ByteSize;
use machine::error::{Error, Result};
use machine::file_system::FileSystem;
use machine::measure::storage;
use nix::fcntl::posix_fallocate;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene, Separates};

inventory::submit! { FaultEntry::of::<DestinationFull>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DestinationFull {
    room: f64,
}

impl Default for DestinationFull {
    fn default() -> Self {
        DestinationFull { room: 0.5 }
    }
}

impl Definition for DestinationFull {
    const NAME: &'static str = "destination-full";
    const SUMMARY: &'static str = "the file system of the artifacts has too little room for another backup";
    const SETTINGS: &'static [(&'static str, &'static str)] =
        &[("room", "free space, as a share of the size of the backup before it: from 0 to 0.9")];

    fn validate(&self) -> std::result::Result<(), String> {
        if (0.0..=0.9).contains(&self.room) {
            Ok(())
        } else {
            Err(format!("room is {}: it must be from 0 to 0.9", self.room))
        }
    }
}

impl Fault for DestinationFull {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        strategy.abilities().continuous.map(|_| {
            "continuous replication has no backup before the fault whose size says how much room is too little".into()
        })
    }

    fn separates(&self) -> Separates {
        // Unlike ext4, it keeps no reserve for root.
        Separates::Destination(FileSystem::Xfs)
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let Some(previous) = scene.previous_bytes else { return Ok(None) };
        let (place, room) = (scene.separate()?.point(), (previous as f64 * self.room) as u64);
        let fail =
            |error: std::io::Error| Error::Environment(format!("cannot fill the destination: {error}"));
        let ballast = place.join("ballast");
        let file = File::create_new(&ballast).map_err(fail)?;
        let free = || storage::free_bytes(place).map_err(fail);
        // The file system needs a little for itself when a file grows, so it is filled in two steps.
        let mut filled = 0;
        for _ in 0..2 {
            let more = free()?.saturating_sub(room);
            if more > 0 {
                posix_fallocate(&file, filled, more as i64).map_err(|error| fail(error.into()))?;
                filled += more as i64;
            }
        }
        let proof = format!(
            "{} free on the file system of the artifacts; the backup before it has {}",
            ByteSize(free()?),
            ByteSize(previous)
        );
        let heal = move || std::fs::remove_file(&ballast).map_err(fail);
        Ok(Some(Injected { proof, heal: Box::new(heal) }))
    }
}
