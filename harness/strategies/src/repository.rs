//! Shared code of strategies that keep a repository of their own. Another strategy makes a consistent local backup, which
//! goes into the repository and is then removed; a restore takes it out again, and lets the other strategy restore it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use engines::secret::Secret;
use machine::error::Error;
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupResult, ConfiguredStrategy, Keeps, Kept, Moments, PointInTime, Promise,
    RestoreContext, RestoreResult, StrategyFailure,
};
use crate::files;
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
    pub restore_older: u32,
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
        "restore_older",
        "number of backups by which the restore goes back from the newest one: what was written after that older one must \
         not be there; 0: it takes the newest",
    ),
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
/// The file with the key of a trial's repositories, in the trial's work directory: outside of the artifact, as an operator
/// keeps it.
const KEY_FILE: &str = "repository.key";

/// A repository, and the file with its key.
pub struct Repository {
    /// Where it is.
    pub place: PathBuf,
    /// The file with its key.
    pub key_file: PathBuf,
}

/// A program that keeps a repository.
pub trait Keeper {
    /// The commands that create an empty repository.
    fn create(&self, repository: &Repository) -> Vec<Command>;

    /// The commands that store the current directory as backup number `number`, from 1, and then remove what is to be
    /// removed and check what is to be checked.
    fn store(&self, repository: &Repository, number: u32) -> Vec<Command>;

    /// The commands that restore the backup with this number into the current directory.
    fn fetch(&self, repository: &Repository, number: u32) -> Vec<Command>;
}

impl Source {
    fn strategy(self) -> Result<ConfiguredStrategy, Error> {
        let name = serde_json::to_value(self).expect("a name is plain data");
        let name = format!("sqlite-{}", name.as_str().expect("a name is a text"));
        Ok(registry::named(&name)?.with_defaults())
    }
}

impl Repository {
    /// The repository in an artifact.
    fn of(artifact: &Path, watch: &Watch) -> Repository {
        let key_file = watch.launcher().work_directory().join(KEY_FILE);
        Repository { place: artifact.join(REPOSITORY), key_file }
    }

    /// Writes a random key, if the trial has none yet. Only its owner can read it.
    fn make_key(&self) -> Result<(), Error> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.key_file);
        let key = Secret::random()?;
        match file.and_then(|mut file| file.write_all(key.0.as_bytes())) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                let file = self.key_file.display();
                Err(Error::Environment(format!("cannot write the key {file}: {error}")))
            }
            _ => Ok(()),
        }
    }
}

impl PointInTime for RepositorySettings {
    /// The older backup is from one moment between its beginning and its end.
    fn kept(&self, moments: &Moments) -> Kept {
        let (began_ns, ended_ns) = moments.older_backup_ns.unzip();
        Kept {
            acknowledged_before_ns: Some(began_ns.unwrap_or(moments.backup_began_ns)),
            sent_after_ns: ended_ns,
        }
    }
}

impl RepositorySettings {
    /// What the strategies of all programs can do.
    pub fn abilities(&self) -> Abilities<'_> {
        let point_in_time = (self.restore_older > 0).then_some(self as &dyn PointInTime);
        Abilities { key_file: Some(KEY_FILE), point_in_time, ..Abilities::default() }
    }

    /// The number of the backup that is restored.
    fn restored(&self) -> u32 {
        self.earlier + 1 - self.restore_older
    }

    /// Checks their values.
    ///
    /// # Errors
    /// The impossible value.
    pub fn validate(&self) -> Result<(), String> {
        if self.earlier > EARLIER_MAX {
            return Err(format!("earlier must be from 0 to {EARLIER_MAX}"));
        }
        if self.restore_older > self.earlier {
            return Err("restore_older must not be greater than earlier: there is no older backup".into());
        }
        if self.keep_last > 0 && self.restore_older >= self.keep_last {
            return Err("restore_older must be less than keep_last: the older backup is removed".into());
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
    let repository = Repository::of(context.destination, context.watch);
    let mut older_backup_ns = None;
    repository.make_key()?;
    let here = context.destination.to_owned();
    run_all(context.watch, &here, keeper.create(&repository))?;
    for number in 1..=earlier {
        let began_ns = context.watch.now_ns();
        store_one(keeper, source, number, &repository, context)?;
        if number == settings.restored() {
            older_backup_ns = Some((began_ns, context.watch.now_ns()));
        }
    }
    let (began_ns, before) = (context.watch.now_ns(), context.watch.measured().counters);
    store_one(keeper, source, earlier + 1, &repository, context)?;
    let mut outcome = context.watch.complete_backup()?;
    outcome.measured.began_ns = Some(began_ns);
    outcome.measured.older_backup_ns = older_backup_ns;
    outcome.measured.counters = outcome.measured.counters.since(&before);
    Ok(outcome)
}

fn store_one(
    keeper: &dyn Keeper,
    source: Source,
    number: u32,
    repository: &Repository,
    context: &mut BackupContext<'_>,
) -> Result<(), StrategyFailure> {
    let local = files::empty_directory(context.watch.launcher(), "to-be-stored")?;
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
    context.watch.begin_part(vec![repository.place.clone()], None);
    run_all(context.watch, &local, keeper.store(repository, number))?;
    Ok(files::remove_directory(&local)?)
}

/// Restores the newest backup, or the older one that is asked for.
///
/// # Errors
/// Why there is no restored data.
pub fn restore(
    keeper: &dyn Keeper,
    settings: &RepositorySettings,
    context: &mut RestoreContext<'_>,
) -> RestoreResult {
    let source = settings.source;
    let repository = Repository::of(context.artifact, context.watch);
    let local = files::empty_directory(context.watch.launcher(), "fetched")?;
    run_all(context.watch, &local, keeper.fetch(&repository, settings.restored()))?;
    let measured = source.strategy()?.restore(&mut RestoreContext {
        artifact: &stored_directory(&local),
        subject: &mut *context.subject,
        moments: context.moments,
        equipment: context.equipment,
        watch: &mut *context.watch,
    })?;
    files::remove_directory(&local)?;
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
    fn an_older_backup_has_to_exist_and_to_be_kept() {
        let settings = |earlier, keep_last, restore_older| RepositorySettings {
            earlier,
            keep_last,
            restore_older,
            ..RepositorySettings::default()
        };
        assert!(settings(0, 0, 1).validate().unwrap_err().contains("there is no older backup"));
        assert!(settings(9, 3, 3).validate().unwrap_err().contains("is removed"));
        let older = settings(9, 3, 2);
        assert_eq!((older.validate(), older.restored()), (Ok(()), 8));
        let moments = Moments { backup_began_ns: 50, older_backup_ns: Some((10, 20)), disaster_ns: 90 };
        let kept = older.abilities().point_in_time.unwrap().kept(&moments);
        assert_eq!(kept, Kept { acknowledged_before_ns: Some(10), sent_after_ns: Some(20) });
        assert!(settings(9, 3, 0).abilities().point_in_time.is_none());
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
