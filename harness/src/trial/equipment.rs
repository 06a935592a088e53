//! What the strategy gets to work with, and whether this machine has it.

use super::{Drill, Site};
use crate::error::{Error, Result};
use crate::images::Image;
use crate::process::Counters;
use crate::strategy::watch::Watch;
use crate::strategy::{BackupContext, Strategy};
use crate::subject::Subject;
use crate::wheel::Shelf;

impl<'a> Drill<'a> {
    /// What this machine lacks for the strategy, and how to get it; what it has is looked up, or fetched.
    pub(super) fn missing(&mut self) -> Result<Option<String>> {
        if let Some(missing) = self.strategy.missing(&self.plan.settings, self.plan.deployment.engine) {
            return Ok(Some(missing));
        }
        if self.strategy.leaves_out_never_completed() && self.scenario.database.is_some() {
            let reason = "it knows the tracker's tables alone, and a database of your own has others";
            return Ok(Some(reason.into()));
        }
        if let Some(kind) = self.plan.image()
            && let Some(Err(cause)) = self.site.images.tools.get(&kind)
        {
            return Ok(Some(format!("the {} image is not here: {cause}", kind.name())));
        }
        let Site { cache: directory, observer, .. } = *self.site;
        let scenario = &self.scenario.directory;
        let shelf = Shelf { directory, scenario, launcher: &self.launcher, observer };
        match self.strategy.program(&self.plan.settings, &shelf) {
            Ok(program) => self.program = program,
            Err(Error::Environment(missing)) => return Ok(Some(missing)),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// What the strategy's containers are made from.
    pub(super) fn tools(&self) -> Option<&'a Image> {
        self.site.images.tools.get(&self.plan.image()?)?.as_ref().ok()
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

    /// What ships continuously has used so much so far.
    pub(super) fn shipped(&self) -> Option<Counters> {
        self.shipper.as_ref()?.counters()
    }
}
