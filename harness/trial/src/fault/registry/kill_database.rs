//! `kill-database`: the application and the database server are killed with SIGKILL, and started again once the backup
//! has ended.

use machine::error::Result;
use machine::process::Account;
use serde::{Deserialize, Serialize};
use strategies::contract::{ConfiguredStrategy, Family};

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene, Stops};

inventory::submit! { FaultEntry::of::<KillDatabase>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KillDatabase {}

impl Definition for KillDatabase {
    const NAME: &'static str = "kill-database";
    const SUMMARY: &'static str = "SIGKILL of the application and the database server at a random moment of the backup; they are started again";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for KillDatabase {
    fn moment(&self) -> Moment {
        Moment::DuringBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        (strategy.card().family == Family::Cold)
            .then(|| "the application is stopped during the backup, so that it cannot be killed".into())
    }

    fn stops(&self) -> Stops {
        Stops::Application
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        Ok(match scene.launcher.kill_all(Account::Subject) {
            0 => None,
            killed => Injected::over(format!(
                "processes of the application and its database killed with SIGKILL: {killed}"
            )),
        })
    }
}
