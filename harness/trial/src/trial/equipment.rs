//! What the strategy needs to run, and whether this machine has it.

use std::path::PathBuf;

use engines::images::{Image, ImageKind};
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::file_system::FileSystem;
use machine::process::Counters;
use machine::wheel::{Fetch, Shelf};
use strategies::strategy::{BackupContext, Strategy};
use strategies::watch::Watch;

use super::{Drill, Site};
use crate::availability::{Needs, Supplier, supply};

impl Supplier for Drill<'_> {
    fn image(&mut self, kind: &'static ImageKind, _named: Option<&str>) -> Result<()> {
        match self.site.images.tools.get(kind) {
            Some(Err(cause)) => Err(Error::Environment(cause.clone())),
            // A run does not start without the images of its subjects.
            _ => Ok(()),
        }
    }

    fn program(&mut self, needs: &Needs<'_>) -> Result<()> {
        let Site { cache: directory, observer, .. } = *self.site;
        let fetch = Fetch::Now { launcher: &self.launcher, observer };
        let shelf = Shelf { directory, scenario: needs.directory, fetch };
        self.program = needs.strategy.program(needs.settings, &shelf)?;
        Ok(())
    }

    fn live_directory(&mut self, file_system: FileSystem) -> Result<PathBuf> {
        self.make_directories(file_system)
    }
}

impl<'a> Drill<'a> {
    /// What this machine lacks for the trial, and how to get it. Everything else is looked up, fetched or made.
    pub(super) fn missing(&mut self) -> Result<Option<String>> {
        let supplied = supply(&Needs::of_trial(self.plan, self.scenario), self);
        let engine = self.plan.deployment.engine;
        self.survives_disk_loss =
            self.strategy.survives_disk_loss(engine, &self.place("live"), &self.plan.settings);
        match supplied {
            Ok(()) => Ok(None),
            Err(Error::Environment(missing)) => Ok(Some(missing)),
            Err(error) => Err(error),
        }
    }

    /// The image of the strategy's containers.
    pub(super) fn tools(&self) -> Option<&'a Image> {
        self.site.images.tools.get(self.plan.image()?)?.as_ref().ok()
    }

    pub(super) fn with_backup_context<T>(
        &mut self,
        subject: &mut Subject,
        watch: &mut Watch,
        call: impl FnOnce(&dyn Strategy, &mut BackupContext<'_>) -> T,
    ) -> T {
        let mut context = BackupContext {
            subject,
            destination: &self.place("artifact"),
            settings: &self.plan.settings,
            scenario_directory: &self.scenario.directory,
            watch,
            tools: self.tools(),
            program: self.program.as_ref(),
            shipper: match &mut self.shipper {
                Some(shipper) => Some(shipper.as_mut()),
                None => None,
            },
        };
        call(self.strategy, &mut context)
    }

    /// Resources that continuous replication has used so far.
    pub(super) fn shipped(&self) -> Option<Counters> {
        self.shipper.as_ref()?.counters()
    }
}
