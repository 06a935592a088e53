//! What a fault can reach in a trial.

use engines::database::Database;
use machine::error::{Error, Result};
use model::dataset::TableNames;
use strategies::contract::{FailureCause, StrategyFailure};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::brief::in_brief;
use super::context::TrialContext;
use super::phase_results::Artifact;
use crate::fault::{ConfiguredFault, Scene};

impl TrialContext<'_> {
    pub(super) fn scene(
        &self,
        fault: &ConfiguredFault,
        database: Database,
        previous: Option<&Artifact>,
    ) -> Scene<'_> {
        let engine = self.plan.deployment.engine;
        let data = |name| engine.data(&self.place(name));
        let live = database.clone();
        Scene {
            launcher: &self.launcher,
            strategy: &self.plan.strategy,
            // Each repetition has another moment and place, and so has each fault.
            random: xxh3_64_with_seed(fault.label().as_bytes(), self.plan.model.seed),
            database,
            table: self.tables().torrents,
            artifact: self.artifact(),
            previous_bytes: previous.and_then(|previous| previous.bytes),
            separate: self.destination.as_ref().or(self.file_system.as_ref()),
            lost: data("lost"),
            restored: data("restored"),
            line: None,
            another_backup: Some(Box::new(move || self.another_backup(&live))),
        }
    }

    /// Makes another backup into the same directory while one runs. Returns what came of it, for the operator.
    fn another_backup(&self, live: &Database) -> Result<String> {
        let destination = self.artifact();
        let mut subject = self.attach(live)?;
        let mut watch = self.watch(self.operation(destination.clone()));
        let made =
            self.plan.strategy.backup(&mut self.backup_context(&mut subject, &destination, &mut watch, None));
        match made {
            Ok(_) => Ok("it reported success".into()),
            Err(StrategyFailure { cause: FailureCause::Error(Error::Interrupted), .. }) => {
                Err(Error::Interrupted)
            }
            Err(failure) => Ok(format!("it failed: {}", in_brief(&failure.cause.to_string()))),
        }
    }

    /// The tables that the application writes to.
    fn tables(&self) -> TableNames {
        let original = model::dataset::original_torrents(&self.plan.dataset);
        original.map_or(TableNames::TRACKER, |original| original.tables())
    }
}
