//! `two-at-once`: another backup of the same strategy begins into the same directory while the first one runs, as when a
//! scheduled backup takes longer than its interval.

use machine::error::Result;
use machine::process::Account;
use serde::{Deserialize, Serialize};
use strategies::contract::{ConfiguredStrategy, Family};

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<TwoAtOnce>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TwoAtOnce {}

impl Definition for TwoAtOnce {
    const NAME: &'static str = "two-at-once";
    const SUMMARY: &'static str =
        "another backup into the same place begins at a random moment of the backup, before it has ended";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for TwoAtOnce {
    fn moment(&self) -> Moment {
        Moment::DuringBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        if strategy.abilities().access.is_remote() {
            return Some("the trial has one server for its backups, and one backup at a time to it".into());
        }
        match strategy.card().family {
            Family::Cold => {
                Some("the application is stopped once: a second stop finds nothing to stop".into())
            }
            Family::Continuous => Some("it runs all the time, and has no separate backups".into()),
            _ => None,
        }
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let running = scene.launcher.processes().running(Account::Strategy).len();
        if running == 0 {
            return Ok(None);
        }
        let outcome = scene.another_backup()?;
        Ok(Injected::over(format!(
            "another backup began while processes of the first ran ({running}): {outcome}"
        )))
    }
}
