//! What a strategy leaves when the power fails during a backup, or after it has reported success: every state of the disk,
//! each restored by the strategy itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use engines::subject::Subject;
use machine::error::{Error, Result};
use machine::measure::storage;
use machine::removal;
use strategies::clock::SystemClock;
use strategies::contract::{
    BackupContext, ConfiguredStrategy, Equipment, FailureCause, Family, Moments, RestoreContext,
    StrategyFailure,
};
use strategies::watch::{Operation, Watch};

use super::{Examination, Examined, one_writer};

/// How long a backup or a restore may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// The directory of the artifact, on the file system of the destination.
const ARTIFACT: &str = "artifact";

/// Why a strategy cannot be examined: it needs more than a database at rest and a directory.
///
/// # Errors
/// [`Error::Input`] with the reason.
pub fn require_examinable(strategy: &ConfiguredStrategy) -> Result<()> {
    let (card, abilities) = (strategy.card(), strategy.abilities());
    let (engine, _) = engines::registry::of_files();
    let obstacle = if !card.supports(engine) {
        Some(format!("it does not back up {}", engine.title()))
    } else if !matches!(card.family, Family::Online | Family::Logical) {
        Some("only online and logical backups are examined".to_owned())
    } else if abilities.continuous.is_some() || abilities.program.is_some() || card.image(engine).is_some() {
        Some("it needs more than a database and a directory".to_owned())
    } else {
        None
    };
    obstacle.map_or(Ok(()), |why| Err(Error::Input(format!("'{}' cannot be examined: {why}", card.name))))
}

impl Examination<'_> {
    /// Lets a strategy back up the database, which is at rest, and examines every state that a power cut during the
    /// backup or after it could leave. Only what the strategy and its tools synchronise themselves counts.
    ///
    /// # Errors
    /// [`Error::Input`] when the backup fails; [`Error::Environment`] when the machine refuses something;
    /// [`Error::Interrupted`].
    pub fn examine_strategy(&self, strategy: &ConfiguredStrategy) -> Result<Examined> {
        require_examinable(strategy)?;
        let live = self.launcher.work_directory().join("live");
        std::fs::create_dir(&live).context("cannot make a directory for the database")?;
        std::fs::copy(&self.source, self.engine.data(&live)).context("cannot copy the database")?;
        let examined = self.examined(
            |destination| {
                let artifact = destination.join(ARTIFACT);
                std::fs::create_dir(&artifact).context("cannot make a directory for the artifact")?;
                Ok(storage::sync_tree(destination).context("cannot make a directory durable")?)
            },
            |destination| self.make_backup(strategy, &live, &destination.join(ARTIFACT)),
            |state| self.wrong_after_restore(strategy, &state.join(ARTIFACT)),
        );
        remove(&live)?;
        examined
    }

    fn make_backup(&self, strategy: &ConfiguredStrategy, live: &Path, artifact: &Path) -> Result<()> {
        let mut subject = self.subject(live)?;
        let mut watch = self.watch(artifact.to_owned());
        let made = strategy.backup(&mut BackupContext {
            subject: &mut subject,
            database_bytes: storage::bytes(&self.source),
            destination: artifact,
            equipment: self.equipment(),
            watch: &mut watch,
            replication: None,
        });
        match made {
            Ok(_) => Ok(()),
            Err(StrategyFailure { cause: FailureCause::Error(Error::Interrupted), .. }) => {
                Err(Error::Interrupted)
            }
            Err(StrategyFailure { cause, .. }) => {
                Err(Error::Input(format!("the backup by '{}' failed: {cause}", strategy.name())))
            }
        }
    }

    /// What is wrong with the database that the strategy restores from an artifact; `None` when it is the whole one.
    fn wrong_after_restore(&self, strategy: &ConfiguredStrategy, artifact: &Path) -> Result<Option<String>> {
        let place = self.launcher.work_directory().join("restored");
        std::fs::create_dir(&place).context("cannot make a directory for a restore")?;
        let wrong = self.restored(strategy, artifact, &place);
        remove(&place)?;
        wrong
    }

    fn restored(
        &self,
        strategy: &ConfiguredStrategy,
        artifact: &Path,
        place: &Path,
    ) -> Result<Option<String>> {
        let mut subject = self.subject(place)?;
        let mut watch = self.watch(place.to_owned());
        let restored = strategy.restore(&mut RestoreContext {
            artifact,
            subject: &mut subject,
            moments: Moments { backup_began_ns: 0, older_backup_ns: None, disaster_ns: 0 },
            equipment: self.equipment(),
            watch: &mut watch,
        });
        match restored {
            Ok(_) => {}
            Err(StrategyFailure { cause: FailureCause::Error(Error::Interrupted), .. }) => {
                return Err(Error::Interrupted);
            }
            Err(StrategyFailure { cause, .. }) => return Ok(Some(cause.to_string())),
        }
        let data = self.engine.data(place);
        if data.is_file() { self.inspected(&data) } else { Ok(Some("there is no file".into())) }
    }

    /// An application on the database in a directory, which is never started.
    fn subject(&self, place: &Path) -> Result<Subject> {
        let instance = self.engine.reopen(self.launcher, self.engine.data(place), None)?;
        let model = one_writer(&self.spec)?;
        Ok(Subject::new(self.launcher, self.engine, instance, None, self.spec.clone(), model))
    }

    fn equipment(&self) -> Equipment<'_> {
        Equipment { scenario_directory: self.launcher.work_directory(), image: None, program: None }
    }

    fn watch(&self, directory: PathBuf) -> Watch {
        let operation = Operation {
            directory,
            live: None,
            expected_bytes: None,
            deadline: DEADLINE,
            limits: None,
            is_made_durable: false,
        };
        Watch::new(self.launcher, operation, Arc::new(SystemClock))
    }
}

fn remove(directory: &Path) -> Result<()> {
    removal::remove(directory).map_err(|left| Error::Environment(left.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use strategies::registry;

    #[test]
    fn only_strategies_that_need_a_database_and_a_directory_are_examined() {
        let examinable = |name: &str| require_examinable(&registry::named(name).unwrap().with_defaults());
        assert!(examinable("sqlite-live-copy").is_ok() && examinable("sqlite-dump").is_ok());
        for (name, why) in [
            ("mysql-dump", "does not back up"),
            ("cold-copy", "only online and logical"),
            ("litestream", "only online and logical"),
        ] {
            let refused = examinable(name).unwrap_err().to_string();
            assert!(refused.contains(why), "{name}: {refused}");
        }
    }
}
