//! `stale-companion`: the restore finds files of the killed application at its place: the log, the shared memory or the
//! journal of the old database, which do not belong to the restored one.

use std::path::PathBuf;

use engines::engine::Engine;
use machine::error::{Error, Result};
use machine::measure::storage;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Scene};

inventory::submit! { FaultEntry::of::<StaleCompanion>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StaleCompanion {}

impl Definition for StaleCompanion {
    const NAME: &'static str = "stale-companion";
    const SUMMARY: &'static str = "the log of the killed application lies where the database is restored";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
}

/// The suffixes of the files that an engine keeps beside a database that is one file.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

impl Fault for StaleCompanion {
    fn moment(&self) -> Moment {
        Moment::BeforeRestore
    }

    fn unsuited(&self, _strategy: &ConfiguredStrategy, deployment: &Deployment) -> Option<String> {
        let engine: &dyn Engine = deployment.engine;
        if engine.files().is_none() {
            return Some(
                "the server keeps its log in its data directory, which the restore makes anew".into(),
            );
        }
        let has_log = deployment.mode.is_some_and(|mode| mode.has_log);
        (!has_log).then(|| "a killed application leaves a journal only if it is killed within a write".into())
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let mut left = Vec::new();
        for suffix in COMPANIONS {
            let beside = |data: &PathBuf| PathBuf::from(format!("{}{suffix}", data.display()));
            let (from, to) = (beside(&scene.lost), beside(&scene.restored));
            if from.exists() {
                std::fs::copy(&from, &to).map_err(|error| {
                    Error::Environment(format!("cannot copy {}: {error}", from.display()))
                })?;
                left.push(format!("{suffix} ({} bytes)", storage::bytes(&to)));
            }
        }
        Ok(if left.is_empty() {
            None
        } else {
            Injected::over(format!(
                "files of the killed application beside the restored database: {}",
                left.join(", ")
            ))
        })
    }
}
