//! `long-transaction`: another client keeps a transaction open while the backup runs.

use machine::error::Result;
use serde::{Deserialize, Serialize};
use strategies::contract::{ConfiguredStrategy, Family};

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<LongTransaction>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LongTransaction {}

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
        if strategy.card().family == Family::Cold {
            return Some("stopping the application ends its transactions".into());
        }
        deployment
            .mode
            .is_some_and(|mode| !mode.has_log)
            .then(|| "without a write-ahead log, a transaction that has read blocks all writers".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let first = ["BEGIN".into(), format!("SELECT count(*) FROM {}", scene.table)];
        let end = scene.other_client(first.into(), Vec::new(), vec!["COMMIT".into()])?;
        let proof = format!(
            "a transaction that had read the table {} was open before the backup was called",
            scene.table
        );
        Ok(Some(Injected { proof, heal: Box::new(move || end().map(|_| ())) }))
    }
}
