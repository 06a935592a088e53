//! `wrong-key`: the restore has another key than the backup had, as when keys were mixed up, or only an old one was kept.

use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<WrongKey>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrongKey {}

impl Definition for WrongKey {
    const NAME: &'static str = "wrong-key";
    const SUMMARY: &'static str = "the file with the key holds another key when the backup is restored";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for WrongKey {
    fn moment(&self) -> Moment {
        Moment::BeforeRestore
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        strategy.abilities().key_file.is_none().then(|| "its artifact is not encrypted".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let Some(name) = scene.strategy.abilities().key_file else { return Ok(None) };
        let file = scene.launcher.work_directory().join(name);
        if !file.exists() {
            return Ok(None);
        }
        std::fs::write(&file, "another key").map_err(|error| {
            Error::Environment(format!("cannot replace the key {}: {error}", file.display()))
        })?;
        Ok(Injected::over(format!("the file {name} has another key")))
    }
}
