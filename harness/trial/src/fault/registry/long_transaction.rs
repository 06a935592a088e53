//! `long-transaction`: another client keeps a transaction open while the backup runs.

use std::time::Duration;

use engines::database::HoldTransaction;
use machine::error::Result;
use machine::process::{Account, Group};
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};
use crate::plan::Deployment;

inventory::submit! { FaultEntry::of::<LongTransaction>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LongTransaction {}

const START_TIMEOUT: Duration = Duration::from_secs(30);

impl Definition for LongTransaction {
    const NAME: &'static str = "long-transaction";
    const SUMMARY: &'static str =
        "another client keeps a transaction open that has read, until the backup has ended";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for LongTransaction {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, deployment: &Deployment) -> Option<String> {
        if strategy.card().family == strategies::contract::Family::Cold {
            return Some("stopping the application ends its transactions".into());
        }
        deployment
            .mode
            .is_some_and(|mode| !mode.has_log)
            .then(|| "without a write-ahead log, a transaction that has read blocks all writers".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let job = HoldTransaction { database: scene.database.clone() };
        let (child, stdin) = scene.launcher.worker(Account::Harness, &job)?;
        let mut group = Group::new(vec![child]);
        group.wait_ready(&scene.launcher.cancel, START_TIMEOUT)?;
        let heal = move || {
            drop(stdin);
            group.wait(|_| scene.launcher.cancel.check())?.result()?;
            Ok(())
        };
        let proof = "a transaction that has read was open before the backup was called".to_owned();
        Ok(Some(Injected { proof, heal: Box::new(heal) }))
    }
}
