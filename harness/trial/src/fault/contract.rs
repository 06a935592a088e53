//! What every fault is and does.

use machine::error::Result;
use machine::file_system::FileSystem;
use machine::tool::Tool;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strategies::contract::ConfiguredStrategy;

use super::scene::Scene;
use crate::deployment::Deployment;

/// Something that goes wrong on purpose. Its settings are the fields of the type that implements it.
pub trait Fault: Send + Sync {
    /// When it strikes.
    fn moment(&self) -> Moment;

    /// Why it makes no sense in trials of this strategy on this subject; `None` if it does.
    fn unsuited(&self, _strategy: &ConfiguredStrategy, _deployment: &Deployment) -> Option<String> {
        None
    }

    /// The commands that injecting it needs.
    fn tools(&self) -> &'static [&'static Tool] {
        &[]
    }

    /// What is missing on this machine to inject it, and how to get it.
    fn missing(&self) -> Option<String> {
        self.tools().iter().find_map(|tool| tool.missing())
    }

    /// What it needs a separate file system for.
    fn separates(&self) -> Separates {
        Separates::Nothing
    }

    /// What it ends besides the backup. That is started again once the fault is over.
    fn stops(&self) -> Stops {
        Stops::Nothing
    }

    /// Whether a backup can succeed although the fault struck it. Otherwise a backup that succeeds was not struck: what was
    /// hit had done its work.
    fn is_survivable(&self) -> bool {
        true
    }

    /// Makes what a fault of a moment during the backup needs from its beginning. It stays until the backup has ended.
    ///
    /// # Errors
    /// When this machine refuses it.
    fn prepare<'a>(&self, _scene: &'a Scene<'a>) -> Result<Prepared<'a>> {
        Ok(Box::new(()))
    }

    /// Strikes. Returns nothing when there is nothing to strike at this moment: it is then called again.
    ///
    /// # Errors
    /// When it cannot be injected on this machine.
    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>>;
}

/// What a fault's file declares in addition. Without settings, a scenario gets the defaults of the type.
pub trait Definition: Fault + Serialize + DeserializeOwned + 'static {
    /// The name in scenarios and records.
    const NAME: &'static str;
    /// What happens, in one sentence.
    const SUMMARY: &'static str;
    /// Each setting with its meaning. The names are those of the type's fields.
    const SETTINGS: &'static [(&'static str, &'static str)];

    /// Checks the values of the settings.
    ///
    /// # Errors
    /// The impossible value.
    fn validate(&self) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Right before the backup is called. It lasts until the backup has ended.
    BeforeBackup,
    /// At a random moment of the backup.
    DuringBackup,
    /// At the instant at which the strategy reports that the backup is complete. The harness does not make the artifact
    /// durable: what the strategy itself has done must be enough.
    AtSuccess,
    /// At a random moment of the publication at a destination.
    DuringPublication,
    /// After the disaster, before the restore.
    BeforeRestore,
}

impl Moment {
    /// True for the moments of a backup: another backup is made before and after it.
    pub fn is_of_backup(self) -> bool {
        !matches!(self, Moment::DuringPublication | Moment::BeforeRestore)
    }

    /// The phase of a trial that it belongs to.
    pub fn phase(self) -> &'static str {
        match self {
            Moment::DuringPublication => "publish",
            Moment::BeforeRestore => "restore",
            _ => "backup",
        }
    }
}

/// What a fault ends besides the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stops {
    /// Nothing.
    Nothing,
    /// The application and its database.
    Application,
    /// Everything that runs: also continuous replication, which a machine starts again after a power cut.
    Machine,
}

/// What a fault needs a separate file system for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separates {
    /// Nothing.
    Nothing,
    /// The artifacts.
    Destination(FileSystem),
    /// The live database and the artifacts together, on this file system unless the scenario gives them one.
    Everything(FileSystem),
}

/// What a fault needs during a backup. Dropping it takes it away.
pub type Prepared<'a> = Box<dyn Send + 'a>;

/// A fault that has struck.
pub struct Injected<'a> {
    /// Evidence that it struck: what was observed.
    pub proof: String,
    /// Ends the fault. A backup that is then made finds the machine as before.
    pub heal: Box<dyn FnOnce() -> Result<()> + Send + 'a>,
}

impl Injected<'_> {
    /// A fault of a moment, which is over when it has struck.
    pub fn over(proof: String) -> Option<Self> {
        Some(Injected { proof, heal: Box::new(|| Ok(())) })
    }
}
