//! `power-cut`: the power of the machine fails at a random moment of the backup. The file system of the live database and of
//! the artifacts is shut down at once, so that what was not on the disk is lost; all processes are killed; then the file
//! system is mounted again and the application started.

use machine::error::Result;
use machine::file_system::{FileSystem, missing_for_power_cuts};
use machine::process::Account;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene, Separates, Stops};

inventory::submit! { FaultEntry::of::<PowerCut>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PowerCut {
    file_system: FileSystem,
}

impl Default for PowerCut {
    fn default() -> Self {
        PowerCut { file_system: FileSystem::Ext4 }
    }
}

pub(super) const SETTINGS: &[(&str, &str)] =
    &[("file_system", "ext4 or xfs: the file system, unless the scenario gives the data a separate one")];

impl Definition for PowerCut {
    const NAME: &'static str = "power-cut";
    const SUMMARY: &'static str = "the power of the machine fails at a random moment of the backup";
    const SETTINGS: &'static [(&'static str, &'static str)] = SETTINGS;

    fn validate(&self) -> std::result::Result<(), String> {
        if self.file_system.can_lose_power() {
            Ok(())
        } else {
            Err(format!(
                "file_system is '{}': only ext4 and xfs can be shut down at once",
                self.file_system.name()
            ))
        }
    }
}

impl Fault for PowerCut {
    fn moment(&self) -> Moment {
        Moment::DuringBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, deployment: &Deployment) -> Option<String> {
        if strategy.abilities().access.is_remote() {
            return Some("its backups are on another machine, whose power is not cut".into());
        }
        let kind = deployment.file_system;
        (kind != FileSystem::Disk && !kind.can_lose_power())
            .then(|| format!("only ext4 and xfs can be shut down at once, not {}", kind.name()))
    }

    fn missing(&self) -> Option<String> {
        missing_for_power_cuts()
    }

    fn separates(&self) -> Separates {
        Separates::Everything(self.file_system)
    }

    fn stops(&self) -> Stops {
        Stops::Machine
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let disk = scene.separate()?;
        // First, so that the application acknowledges nothing while the file system shuts down.
        let killed = scene.launcher.kill_all(Account::Strategy) + scene.launcher.kill_all(Account::Subject);
        disk.cut_power(scene.launcher)?;
        let proof =
            format!("the file system of data and artifacts was shut down; processes killed: {killed}");
        let heal = || disk.mount_again(scene.launcher);
        Ok(Some(Injected { proof, heal: Box::new(heal) }))
    }
}
