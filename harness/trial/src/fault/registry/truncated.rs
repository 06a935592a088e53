//! `truncated`: the end of a file of the artifact is missing, as after an incomplete transfer.

use std::fs::File;

use machine::error::{Error, Result};
use machine::measure::storage;
use serde::{Deserialize, Serialize};

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<Truncated>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Truncated {}

impl Definition for Truncated {
    const NAME: &'static str = "truncated";
    const SUMMARY: &'static str = "a file of the artifact ends at a random byte";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for Truncated {
    fn moment(&self) -> Moment {
        Moment::BeforeRestore
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let Some((file, name, offset)) = scene.random_byte("end") else { return Ok(None) };
        let before = storage::bytes(&file);
        File::options()
            .write(true)
            .open(&file)
            .and_then(|file| file.set_len(offset))
            .map_err(|error| Error::Environment(format!("cannot truncate {name}: {error}")))?;
        Ok(Injected::over(format!("{name} was truncated from {before} to {offset} bytes")))
    }
}
