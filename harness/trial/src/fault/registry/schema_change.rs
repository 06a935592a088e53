//! `schema-change`: another client creates, alters, indexes, empties and drops a table while the backup runs. The table is
//! not part of the content, so that only what the changes do to the backup of the other tables counts.

use machine::error::Result;
use model::dataset::SCRATCH_TABLE;
use serde::{Deserialize, Serialize};
use strategies::contract::{ConfiguredStrategy, Family};

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<SchemaChange>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SchemaChange {}

impl Definition for SchemaChange {
    const NAME: &'static str = "schema-change";
    const SUMMARY: &'static str = "another client creates, alters, indexes, empties and drops a table all the time, until the backup has ended";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

impl Fault for SchemaChange {
    fn moment(&self) -> Moment {
        Moment::BeforeBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        (strategy.card().family == Family::Cold)
            .then(|| "no client is connected while the application is stopped".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let drop = format!("DROP TABLE IF EXISTS {SCRATCH_TABLE}");
        let round = vec![
            format!("CREATE TABLE {SCRATCH_TABLE} (id INTEGER PRIMARY KEY, note VARCHAR(40))"),
            format!("INSERT INTO {SCRATCH_TABLE} VALUES (1, 'one'), (2, 'two'), (3, 'three')"),
            format!("ALTER TABLE {SCRATCH_TABLE} ADD COLUMN more INTEGER"),
            format!("CREATE INDEX {SCRATCH_TABLE}_note ON {SCRATCH_TABLE} (note)"),
            format!("DELETE FROM {SCRATCH_TABLE}"),
            drop.clone(),
        ];
        let end = scene.other_client(round.clone(), round, vec![drop])?;
        let proof = format!("a table '{SCRATCH_TABLE}' was created, altered and dropped all the time");
        Ok(Some(Injected { proof, heal: Box::new(move || end().map(|_| ())) }))
    }
}
