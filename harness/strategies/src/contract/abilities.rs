//! What only a few strategies can do, each a small trait or a value.

use std::path::{Path, PathBuf};

use engines::engine::Engine;
use machine::error::Result;
use machine::program_cache::ProgramCache;
use machine::tool::Program;

use super::context::BackupContext;
use super::failure::StrategyFailure;
use super::promise::{Kept, Moments};
use super::replication::Replication;
use crate::artifact_server::ArtifactAccess;

/// What a strategy can do with its settings that most strategies cannot.
#[derive(Clone, Copy, Default)]
pub struct Abilities<'a> {
    /// It replicates every change as it is made.
    pub continuous: Option<&'a dyn Continuous>,
    /// How often the artifact is restored during the tail of a trial, while the application runs and the artifact
    /// grows: a continuous replica must be restorable at every moment, not only at the end.
    pub live_restores: u32,
    /// It restores to a moment before the disaster.
    pub point_in_time: Option<&'a dyn PointInTime>,
    /// It runs a program that its settings name.
    pub program: Option<&'a dyn OwnProgram>,
    /// It runs commands of the scenario's author.
    pub user_commands: Option<&'a dyn UserCommands>,
    /// It depends on where the live data is.
    pub placement: Option<&'a dyn Placement>,
    /// Its artifact holds several backups.
    pub retention: Option<&'a dyn Retention>,
    /// Its artifact is a chain of pieces, all of which a restore needs.
    pub chain: Option<&'a dyn Chain>,
    /// How it reaches its artifact.
    pub access: ArtifactAccess,
    /// It publishes its backups itself: beside the artifact there are copies on their way.
    pub publishes: bool,
    /// Its artifact is encrypted: the name of the file with the key, in the trial's work directory.
    pub key_file: Option<&'static str>,
    /// It also backs up configuration files: each of its trials then has some beside the database, and compares the
    /// restored ones with them.
    pub takes_configuration: bool,
    /// It leaves out the torrents that were never completed: their absence does not count as data loss.
    pub leaves_out_never_completed: bool,
}

/// Continuous replication.
pub trait Continuous {
    /// Starts it, before the backup is called.
    ///
    /// # Errors
    /// Why it could not be started.
    fn start(&self, context: &mut BackupContext<'_>) -> Result<Box<dyn Replication>, StrategyFailure>;
}

/// A restore to a moment before the disaster.
pub trait PointInTime {
    /// The writes that a restored database must and must not contain, in a trial with these moments.
    fn kept(&self, moments: &Moments) -> Kept;
}

/// A program in the version that the settings name.
pub trait OwnProgram {
    /// Locates it, or downloads it, before the trial begins.
    ///
    /// # Errors
    /// [`Error::Environment`](machine::error::Error::Environment) with what is missing and how to get it;
    /// [`Error::Interrupted`](machine::error::Error::Interrupted).
    fn locate(&self, programs: &ProgramCache<'_>) -> Result<Program>;
}

/// Commands that the scenario names.
pub trait UserCommands {
    /// Checks that all are given and that their files exist, before the run changes anything. Relative paths are
    /// relative to `directory`, the scenario's directory.
    ///
    /// # Errors
    /// What is missing.
    fn check(&self, directory: &Path) -> Result<(), String>;

    /// What is not installed. Relative paths are relative to `directory`, the scenario's directory.
    fn missing(&self, directory: &Path) -> Option<String>;

    /// The version of what they run, where the scenario says how to ask for it.
    fn version(&self, directory: &Path) -> Option<String>;
}

/// A dependence on the file system of the live data.
pub trait Placement {
    /// Why it cannot run on data placed in this directory, and what to do about it. The data need not exist yet.
    fn obstacle(&self, engine: &dyn Engine, directory: &Path) -> Option<String>;

    /// Whether the backup of data in this directory can be on another disk, so that it survives the loss of that disk;
    /// `None` when this is unknown.
    fn survives_disk_loss(&self, engine: &dyn Engine, directory: &Path) -> Option<bool>;
}

/// An artifact that holds older backups beside the newest one.
pub trait Retention {
    /// Size of the newest backup, which a restore needs.
    fn newest_bytes(&self, artifact: &Path) -> u64;
}

/// An artifact that is a chain: a restore applies its pieces one after the other.
pub trait Chain {
    /// The files or directories of the chain, in the order in which they were made.
    fn pieces(&self, artifact: &Path) -> Vec<PathBuf>;
}
