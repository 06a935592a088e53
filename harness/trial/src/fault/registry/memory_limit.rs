//! `memory-limit`: the strategy's processes and containers get too little memory during the backup.

use bytesize::ByteSize;
use machine::error::Result;
use machine::process::{Account, LimitedGroup, Limits};
use machine::quantity;
use serde::{Deserialize, Serialize};

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<MemoryLimit>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MemoryLimit {
    bytes: String,
}

impl Default for MemoryLimit {
    fn default() -> Self {
        MemoryLimit { bytes: "8MiB".into() }
    }
}

impl Definition for MemoryLimit {
    const NAME: &'static str = "memory-limit";
    const SUMMARY: &'static str =
        "the strategy's processes that are started for the backup share a limited memory";
    const SETTINGS: &'static [(&'static str, &'static str)] =
        &[("bytes", "the limit: a size such as 8MiB, at least 1MiB")];

    fn validate(&self) -> std::result::Result<(), String> {
        let limit = quantity::size(&self.bytes)?;
        if limit >= ByteSize::mib(1) {
            Ok(())
        } else {
            Err(format!("bytes is {limit}: it must be at least 1MiB"))
        }
    }
}

impl Fault for MemoryLimit {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn missing(&self) -> Option<String> {
        self.limits().missing()
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let group = LimitedGroup::make(self.limits())?;
        // A scenario may limit them all the time.
        let before = scene.launcher.processes().confine(Account::Strategy, Some(group));
        let proof = format!("the strategy's new processes share {} of memory", self.bytes);
        let heal = move || {
            // Dropping the group removes it.
            drop(scene.launcher.processes().confine(Account::Strategy, before));
            Ok(())
        };
        Ok(Some(Injected { proof, heal: Box::new(heal) }))
    }
}

impl MemoryLimit {
    fn limits(&self) -> Limits {
        Limits { memory_bytes: quantity::size(&self.bytes).ok().map(|bytes| bytes.0), ..Limits::default() }
    }
}
