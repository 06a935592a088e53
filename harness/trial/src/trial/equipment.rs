//! What the strategy needs to run, and whether this machine has it.

use std::path::{Path, PathBuf};

use engines::images::{Image, ImageKind};
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::file_system::FileSystem;
use machine::program_cache::{Fetch, ProgramCache};
use strategies::contract::{BackupContext, Equipment, Replication};
use strategies::watch::Watch;

use super::context::TrialContext;
use super::environment::TrialEnvironment;
use crate::availability::{Needs, Supplier, supply};

impl Supplier for TrialContext<'_> {
    fn image(&mut self, kind: &'static ImageKind, _named: Option<&str>) -> Result<()> {
        match self.environment.images.tools.get(kind) {
            Some(Err(cause)) => Err(Error::Environment(cause.clone())),
            // A run does not start without the images of its subjects.
            _ => Ok(()),
        }
    }

    fn program(&mut self, needs: &Needs<'_>) -> Result<()> {
        let TrialEnvironment { cache: directory, observer, .. } = *self.environment;
        let fetch = Fetch::Now { launcher: &self.launcher, observer };
        let programs = ProgramCache { directory, relative_to: needs.directory, fetch };
        let program = needs.strategy.abilities().program;
        self.program = program.map(|program| program.locate(&programs)).transpose()?;
        Ok(())
    }

    fn destination(&mut self, file_system: FileSystem) -> Result<()> {
        self.make_destination(file_system)
    }

    fn live_directory(&mut self, file_system: FileSystem) -> Result<PathBuf> {
        self.make_directories(file_system)
    }
}

impl<'a> TrialContext<'a> {
    /// Obtains all that the trial needs: it is looked up, fetched or made. Returns what this machine lacks, if anything,
    /// and how to get it.
    pub(super) fn obtain(&mut self) -> Result<Option<String>> {
        let supplied = supply(&Needs::of_trial(self.plan, self.scenario), self);
        let engine = self.plan.deployment.engine;
        self.survives_disk_loss = self.plan.strategy.survives_disk_loss(engine, &self.place("live"));
        match supplied {
            Ok(()) => Ok(None),
            Err(Error::Environment(missing)) => Ok(Some(missing)),
            Err(error) => Err(error),
        }
    }

    /// What was obtained for the strategy.
    pub(super) fn equipment(&self) -> Equipment<'_> {
        Equipment {
            scenario_directory: &self.scenario.directory,
            image: self.strategy_image(),
            program: self.program.as_ref(),
        }
    }

    /// The image of the strategy's containers.
    pub(super) fn strategy_image(&self) -> Option<&'a Image> {
        self.environment.images.tools.get(self.plan.image()?)?.as_ref().ok()
    }

    /// What the strategy is given for a backup.
    pub(super) fn backup_context<'c>(
        &'c self,
        subject: &'c mut Subject,
        destination: &'c Path,
        watch: &'c mut Watch,
        replication: Option<&'c mut (dyn Replication + 'static)>,
    ) -> BackupContext<'c> {
        let (database_bytes, equipment) = (self.environment.source.bytes, self.equipment());
        BackupContext { subject, database_bytes, destination, equipment, watch, replication }
    }
}
