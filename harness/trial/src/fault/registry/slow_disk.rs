//! `slow-disk`: the disk of the artifacts, or of everything, reads and writes only at a limited rate.

use bytesize::ByteSize;
use machine::error::Result;
use machine::file_system::{self, FileSystem};
use machine::quantity;
use serde::{Deserialize, Serialize};

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene, Separates};

inventory::submit! { FaultEntry::of::<SlowDisk>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SlowDisk {
    bytes_per_second: String,
    of: Of,
}

/// What is on the slow disk.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    Destination,
    Everything,
}

impl Default for SlowDisk {
    fn default() -> Self {
        SlowDisk { bytes_per_second: "16MB".into(), of: Of::Destination }
    }
}

impl Definition for SlowDisk {
    const NAME: &'static str = "slow-disk";
    const SUMMARY: &'static str =
        "the disk of the artifacts reads and writes at a limited rate during the backup";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        ("bytes_per_second", "the rate: a size such as 16MB, at least 64KiB"),
        ("of", "destination: only the artifacts are on the slow disk; everything: the live database as well"),
    ];

    fn validate(&self) -> std::result::Result<(), String> {
        let rate = quantity::size(&self.bytes_per_second)?;
        if rate >= ByteSize::kib(64) {
            Ok(())
        } else {
            Err(format!("bytes_per_second is {rate}: it must be at least 64KiB"))
        }
    }
}

impl Fault for SlowDisk {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn missing(&self) -> Option<String> {
        file_system::missing_for_throttling()
    }

    fn separates(&self) -> Separates {
        match self.of {
            Of::Destination => Separates::Destination(FileSystem::Xfs),
            Of::Everything => Separates::Everything(FileSystem::Ext4),
        }
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let disk = scene.separate()?;
        let rate = quantity::size(&self.bytes_per_second).unwrap_or_default();
        disk.throttle(Some(rate.0))?;
        let proof = format!(
            "the disk of {} reads and writes at most {rate}/s",
            match self.of {
                Of::Destination => "the artifacts",
                Of::Everything => "the data and the artifacts",
            }
        );
        Ok(Some(Injected { proof, heal: Box::new(|| disk.throttle(None)) }))
    }
}
