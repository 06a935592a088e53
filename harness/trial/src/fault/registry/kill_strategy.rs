//! `kill-strategy`: the strategy's processes and containers are killed with SIGKILL, as by a crash or by the kernel when
//! memory runs out.

use machine::error::Result;
use machine::process::Account;
use serde::{Deserialize, Serialize};

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<KillStrategy>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KillStrategy {}

impl Definition for KillStrategy {
    const NAME: &'static str = "kill-strategy";
    const SUMMARY: &'static str =
        "SIGKILL of the strategy's processes and containers at a random moment of the backup";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for KillStrategy {
    fn moment(&self) -> Moment {
        Moment::DuringBackup
    }

    fn is_survivable(&self) -> bool {
        false
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        Ok(match scene.launcher.kill_all(Account::Strategy) {
            0 => None,
            killed => Injected::over(format!("processes of the strategy killed with SIGKILL: {killed}")),
        })
    }
}
