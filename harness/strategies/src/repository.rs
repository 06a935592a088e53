//! Shared code of strategies that keep a repository of their own. Another strategy makes a consistent local backup, which
//! goes into the repository and is then removed; a restore takes it out again, and lets the other strategy restore it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use machine::error::Error;
use machine::removal;
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, ConfiguredStrategy, Keeps, Promise, RestoreContext, RestoreResult,
    StrategyFailure,
};
use crate::registry;
use crate::watch::Watch;

/// The strategy that makes the local backup: that with this name after `sqlite-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A dump.
    Dump,
    /// A copy of the live files.
    #[default]
    LiveCopy,
    /// A compacted copy.
    VacuumInto,
}

/// The settings of every program.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepositorySettings {
    /// See [`SETTINGS`].
    pub check: bool,
    /// See [`SETTINGS`].
    pub earlier: u32,
    /// See [`SETTINGS`].
    pub keep_last: u32,
    /// See [`SETTINGS`].
    pub source: Source,
}

/// What they mean, for cards.
pub const SETTINGS: &[(&str, &str)] = &[
    ("check", "check all data of the repository after each backup"),
    (
        "earlier",
        "number of backups that are made and stored before the one that is measured, so that only changes are stored",
    ),
    ("keep_last", "number of backups that are kept; older ones are removed with their data; 0: all"),
    (
        "source",
        "the strategy that makes the local backup: \"live-copy\" is sqlite-live-copy, \"vacuum-into\" is \
         sqlite-vacuum-into, \"dump\" is sqlite-dump",
    ),
];

/// What a backup in a repository promises.
pub const PROMISE: Promise = Promise {
    text: "consistent, encrypted; keeps every write acknowledged before the backup began; blocks writers as the strategy \
           does that makes the local backup",
    keeps: Keeps::Earlier,
};

/// The greatest number of earlier backups.
const EARLIER_MAX: u32 = 100;
/// The name of the repository in the artifact.
const REPOSITORY: &str = "repository";
/// The key of all repositories: it protects nothing in a trial, and a restore takes it from outside of the artifact.
pub const KEY: &str = "the key of a trial";

/// A program that keeps a repository.
pub trait Keeper {
    /// The commands that create an empty repository.
    fn create(&self, repository: &Path) -> Vec<Command>;

    /// The commands that store the current directory as backup number `number`, from 1, and then remove what is to be
    /// removed and check what is to be checked.
    fn store(&self, repository: &Path, number: u32) -> Vec<Command>;

    /// The commands that restore the backup with this number into the current directory.
    fn fetch(&self, repository: &Path, number: u32) -> Vec<Command>;
}

impl Source {
    fn strategy(self) -> Result<ConfiguredStrategy, Error> {
        let name = serde_json::to_value(self).expect("a name is plain data");
        let name = format!("sqlite-{}", name.as_str().expect("a name is a text"));
        Ok(registry::named(&name)?.with_defaults())
    }
}

impl RepositorySettings {
    /// Checks their values.
    ///
    /// # Errors
    /// The impossible value.
    pub fn validate(&self) -> Result<(), String> {
        if self.earlier > EARLIER_MAX {
            return Err(format!("earlier must be from 0 to {EARLIER_MAX}"));
        }
        Ok(())
    }
}

/// Makes the earlier backups, and then the one that is measured.
///
/// # Errors
/// Why there is no backup.
pub fn back_up(
    keeper: &dyn Keeper,
    settings: &RepositorySettings,
    context: &mut BackupContext<'_>,
) -> BackupResult {
    let RepositorySettings { earlier, source, .. } = *settings;
    let repository = context.destination.join(REPOSITORY);
    let here = context.destination.to_owned();
    run_all(context.watch, &here, keeper.create(&repository))?;
    for number in 1..=earlier {
        store_one(keeper, source, number, &repository, context)?;
    }
    let (began_ns, before) = (context.watch.now_ns(), context.watch.measured().counters);
    store_one(keeper, source, earlier + 1, &repository, context)?;
    let mut outcome = context.watch.complete_backup()?;
    outcome.measured.began_ns = Some(began_ns);
    outcome.measured.counters = outcome.measured.counters.since(&before);
    Ok(outcome)
}

fn store_one(
    keeper: &dyn Keeper,
    source: Source,
    number: u32,
    repository: &Path,
    context: &mut BackupContext<'_>,
) -> Result<(), StrategyFailure> {
    let local = make_directory(context.watch, "to-be-stored")?;
    context.watch.begin_part(vec![local.clone()], Some(context.database_bytes));
    source.strategy()?.backup(&mut BackupContext {
        subject: &mut *context.subject,
        database_bytes: context.database_bytes,
        destination: &local,
        equipment: context.equipment,
        watch: &mut *context.watch,
        replication: None,
    })?;
    // How much is new is unknown.
    context.watch.begin_part(vec![repository.to_owned()], None);
    run_all(context.watch, &local, keeper.store(repository, number))?;
    Ok(remove(&local)?)
}

/// Restores the newest backup.
///
/// # Errors
/// Why there is no restored data.
pub fn restore(
    keeper: &dyn Keeper,
    settings: &RepositorySettings,
    context: &mut RestoreContext<'_>,
) -> RestoreResult {
    let RepositorySettings { earlier, source, .. } = *settings;
    let repository = context.artifact.join(REPOSITORY);
    let local = make_directory(context.watch, "fetched")?;
    run_all(context.watch, &local, keeper.fetch(&repository, earlier + 1))?;
    let measured = source.strategy()?.restore(&mut RestoreContext {
        artifact: &stored_directory(&local),
        subject: &mut *context.subject,
        moments: context.moments,
        equipment: context.equipment,
        watch: &mut *context.watch,
    })?;
    remove(&local)?;
    Ok(measured)
}

/// The directory that was stored: a program may restore it below its whole path.
fn stored_directory(fetched: &Path) -> PathBuf {
    let mut directory = fetched.to_owned();
    loop {
        let mut entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        match (entries.next(), entries.next()) {
            (Some(only), None) if only.path().is_dir() => directory = only.path(),
            _ => return directory,
        }
    }
}

fn make_directory(watch: &Watch, name: &str) -> Result<PathBuf, Error> {
    let directory = watch.launcher().work_directory().join(name);
    fs::create_dir(&directory)
        .map_err(|error| Error::Environment(format!("cannot create {}: {error}", directory.display())))?;
    Ok(directory)
}

fn remove(directory: &Path) -> Result<(), Error> {
    removal::remove(directory).map_err(|left| Error::Environment(left.to_string()))
}

fn run_all(watch: &mut Watch, directory: &Path, commands: Vec<Command>) -> Result<(), StrategyFailure> {
    for mut command in commands {
        command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = watch.spawn(command)?;
        watch.run(vec![child])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_a_strategy_and_the_card_names_it() {
        for source in [Source::Dump, Source::LiveCopy, Source::VacuumInto] {
            let strategy = source.strategy().unwrap_or_else(|error| panic!("{error}"));
            let (_, meaning) = SETTINGS.iter().find(|(name, _)| *name == "source").unwrap();
            assert!(meaning.contains(strategy.name()), "{}", strategy.name());
        }
    }

    #[test]
    fn a_directory_below_its_whole_path_is_found() {
        let place = tempfile::tempdir().unwrap();
        let stored = place.path().join("tmp/work");
        fs::create_dir_all(&stored).unwrap();
        fs::write(stored.join("copy.db"), "").unwrap();
        assert_eq!(stored_directory(place.path()), stored);
        assert_eq!(stored_directory(&stored), stored);
    }
}
