//! What a strategy is given for a backup and for a restore.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use engines::images::Image;
use engines::mysql::server::ARTIFACT;
use engines::subject::Subject;
use machine::container::{BindMount, Network, Spec};
use machine::error::{Error, Result};
use machine::tool::Program;

use super::promise::Moments;
use super::replication::Replication;
use crate::watch::Watch;

/// What a strategy is given for a backup.
pub struct BackupContext<'a> {
    /// The live application.
    pub subject: &'a mut Subject,
    /// Size of the database in bytes, before the workload began.
    pub database_bytes: u64,
    /// A directory for the artifact. It is empty, except for what continuous replication has written.
    pub destination: &'a Path,
    /// What was obtained for it before the trial.
    pub equipment: Equipment<'a>,
    /// Runs the strategy's processes, watched for progress, stall and deadline.
    pub watch: &'a mut Watch,
    /// Continuous replication, once it was started.
    pub replication: Option<&'a mut (dyn Replication + 'static)>,
}

impl<'a> BackupContext<'a> {
    /// The path of an artifact that is a database file: it has the name of the live one.
    pub fn target(&self) -> PathBuf {
        self.destination.join(self.subject.data().file_name().expect("a database is a file"))
    }

    /// The continuous replication that was started, once.
    ///
    /// # Errors
    /// [`Error::Bug`] when none was started.
    pub fn take_replication(&mut self) -> Result<&'a mut (dyn Replication + 'static)> {
        self.replication
            .take()
            .ok_or_else(|| Error::Bug(anyhow!("a backup was called before its replication was started")))
    }
}

/// What a strategy is given for a restore.
pub struct RestoreContext<'a> {
    /// The directory of the artifact.
    pub artifact: &'a Path,
    /// The subject that will run on the restored data, which does not exist yet.
    pub subject: &'a mut Subject,
    /// When things happened.
    pub moments: Moments,
    /// What was obtained for it before the trial.
    pub equipment: Equipment<'a>,
    /// Runs the strategy's processes, watched for the deadline.
    pub watch: &'a mut Watch,
}

/// What was obtained for a strategy before the trial.
#[derive(Clone, Copy)]
pub struct Equipment<'a> {
    /// The directory of the scenario.
    pub scenario_directory: &'a Path,
    /// The image that its card names.
    pub image: Option<&'a Image>,
    /// The program that its settings name.
    pub program: Option<&'a Program>,
}

impl<'a> Equipment<'a> {
    /// The image of its containers.
    ///
    /// # Errors
    /// [`Error::Bug`] when it was not obtained.
    pub fn image(&self) -> Result<&'a Image> {
        self.image.ok_or_else(|| Error::Bug(anyhow!("a trial was started without the image of its strategy")))
    }

    /// The program that its settings name.
    ///
    /// # Errors
    /// [`Error::Bug`] when it was not located.
    pub fn program(&self) -> Result<&'a Program> {
        self.program.ok_or_else(|| Error::Bug(anyhow!("a trial was started without the strategy's program")))
    }

    /// A container that runs a pipeline of tools, given as a shell script. It can access the artifact and nothing else.
    ///
    /// # Errors
    /// As [`Equipment::image`].
    pub fn container(&self, name: &'static str, artifact: &Path, script: &str) -> Result<Spec> {
        let mut spec = Spec::shell(&self.image()?.reference, name, script);
        spec.network = Network::None;
        spec.mounts.push(BindMount {
            host: artifact.to_owned(),
            container: ARTIFACT.into(),
            read_only: false,
        });
        Ok(spec)
    }
}
