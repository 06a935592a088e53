//! `bit-flip`: single bits of the artifact are wrong when it is read for the restore.

use std::fs::File;
use std::os::unix::fs::FileExt;

use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<BitFlip>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BitFlip {
    bits: u32,
}

impl Default for BitFlip {
    fn default() -> Self {
        BitFlip { bits: 1 }
    }
}

impl Definition for BitFlip {
    const NAME: &'static str = "bit-flip";
    const SUMMARY: &'static str = "bits at random places of the artifact are inverted before the restore";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[("bits", "number of bits, from 1 to 1000")];

    fn validate(&self) -> std::result::Result<(), String> {
        if (1..=1000).contains(&self.bits) {
            Ok(())
        } else {
            Err(format!("bits is {}: it must be from 1 to 1000", self.bits))
        }
    }
}

impl Fault for BitFlip {
    fn moment(&self) -> Moment {
        Moment::BeforeRestore
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let mut places = Vec::new();
        for number in 0..self.bits {
            let Some((file, name, offset)) = scene.random_byte(&format!("byte {number}")) else {
                return Ok(None);
            };
            let bit = scene.random_below(8, &format!("bit {number}"));
            let flip = || {
                let file = File::options().read(true).write(true).open(&file)?;
                let mut byte = [0];
                file.read_exact_at(&mut byte, offset)?;
                file.write_all_at(&[byte[0] ^ (1 << bit)], offset)
            };
            flip().map_err(|error: std::io::Error| {
                Error::Environment(format!("cannot damage {name}: {error}"))
            })?;
            places.push(format!("bit {bit} of byte {offset} of {name}"));
        }
        Ok(Injected::over(format!("inverted: {}", places.join(", "))))
    }
}
