//! The contract of an engine. Each engine has a folder, and a line in the [registry](crate::registry).

use std::collections::BTreeMap;
use std::fmt;
use std::panic::RefUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use machine::container::Network;
use machine::error::Result;
use machine::process::{Account, Launcher};
use machine::worker::JobEntry;
use model::dataset::{DatasetSpec, Generated};
use reports::record::Workload;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::access::Access;
use crate::applications::App;
use crate::files::FileEngine;
use crate::images::{Image, ImageKind};
use crate::instance::Instance;
use crate::log_events::LogEvents;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::settings::{EngineSettings, Settings};
use crate::source::{Preparation, Source};

/// A database engine.
pub trait Engine: Sync + RefUnwindSafe {
    /// The name in scenarios, flags and records.
    fn name(&self) -> &'static str;

    /// The name for people.
    fn title(&self) -> &'static str;

    /// The commented parts of a scenario that a user begins with.
    fn template(&self) -> &Template;

    /// Its settings from the values of its own keys, with defaults for all others.
    ///
    /// # Errors
    /// What is wrong with a value.
    fn settings(&self, given: Map<String, Value>) -> serde_json::Result<Arc<dyn Settings>>;

    /// The modes in which it can run, the default first; empty when there is only one way.
    fn modes(&self) -> &'static [Mode] {
        &[]
    }

    /// The image of its server; `None` when it needs no container.
    fn image(&self) -> Option<&'static ImageKind> {
        None
    }

    /// What it does with a database that is a single file; `None` when its databases are no files.
    fn files(&self) -> Option<&dyn FileEngine> {
        None
    }

    /// The size of a dataset: exact or estimated.
    ///
    /// # Errors
    /// [`Error::Input`](machine::error::Error::Input) for an invalid specification.
    fn predicted(&self, spec: &DatasetSpec) -> Result<Generated>;

    /// True when this cache has the dataset for certain, so that [`Engine::prepare`] will not make it.
    fn is_cached(&self, cache: &Path, spec: &DatasetSpec) -> bool;

    /// Makes a dataset ready for trials: from the cache, or made now.
    ///
    /// # Errors
    /// When it cannot be made; [`Error::Interrupted`](machine::error::Error::Interrupted).
    fn prepare(&self, spec: &DatasetSpec, preparation: &Preparation<'_>) -> Result<Source>;

    /// Where its data is in a directory of a trial: a file or a data directory.
    fn data(&self, place: &Path) -> PathBuf;

    /// Sets the mode of a database, for an application that does not set it itself.
    ///
    /// # Errors
    /// When the database cannot be changed.
    fn set_mode(&self, _data: &Path, _mode: Mode) -> Result<()> {
        Ok(())
    }

    /// A database in one place of a trial. Nothing is started yet, and the data need not exist yet.
    ///
    /// # Errors
    /// When its files cannot be written.
    fn provision(&self, provision: Provision<'_>) -> Result<Box<dyn Instance>>;

    /// Another handle of a database that runs already and is reached by `access`: for a backup beside another one. It is
    /// neither started nor stopped by this handle.
    ///
    /// # Errors
    /// When `access` is that of another engine.
    fn attach(&self, provision: Provision<'_>, _access: &dyn Access) -> Result<Box<dyn Instance>> {
        self.provision(provision)
    }

    /// What [`Engine::reopen`] needs besides the data; `None` when the data is enough. It contains no password and no
    /// path.
    fn kept(&self, _settings: &EngineSettings, _image: Option<&Image>) -> Option<Value> {
        None
    }

    /// A database on a copy of data that a trial has kept. Its own files go into the work directory of the launcher.
    ///
    /// # Errors
    /// [`Error::Input`](machine::error::Error::Input) when `kept` is not what [`Engine::kept`] returns; its message
    /// completes the words "the evidence".
    fn reopen(&self, launcher: &Launcher, data: PathBuf, kept: Option<&Value>) -> Result<Box<dyn Instance>>;

    /// How a database is reached, from its serialised form.
    ///
    /// # Errors
    /// When it is the form of another engine.
    fn access(&self, value: Value) -> serde_json::Result<Arc<dyn Access>>;

    /// Watches what happens to the log of a live database until `stop` is true; `None`, at once, where there is no such
    /// log.
    fn watch_log(&self, _mode: Option<Mode>, _data: &Path, _stop: &AtomicBool) -> Option<LogEvents> {
        None
    }

    /// The versions of the software that this program itself contains for it, by name.
    fn versions(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The size of a database in bytes from which on it is verified at [`Level::Fast`](model::verify::Level::Fast) unless a scenario says otherwise.
    fn fast_from_bytes(&self) -> u64 {
        u64::MAX
    }

    /// Enters its settings into the record of a trial, as far as they have an effect with this mode and application.
    fn record(&self, settings: &EngineSettings, mode: Option<Mode>, app: App, workload: &mut Workload);

    /// The jobs that it does in worker processes.
    fn jobs(&self) -> &'static [JobEntry] {
        &[]
    }
}

impl PartialEq for dyn Engine {
    fn eq(&self, other: &dyn Engine) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Engine {}

impl fmt::Debug for dyn Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for dyn Engine {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Commented parts of a scenario file.
pub struct Template {
    /// The section `subject`.
    pub subject: &'static str,
    /// Some strategies to begin with.
    pub variants: &'static str,
}

/// How long a server may take to start: long enough to apply a large redo log first.
pub const START_TIMEOUT: Duration = Duration::from_secs(600);

/// What an engine has for a database in one place of a trial.
pub struct Provision<'a> {
    /// Starts its processes and containers.
    pub launcher: &'a Launcher,
    /// The settings of the scenario.
    pub settings: &'a EngineSettings,
    /// The mode; `None` for an engine that has none.
    pub mode: Option<Mode>,
    /// The image of the engine, if it has one.
    pub image: Option<&'a Image>,
    /// Where the data is or will be: what [`Engine::data`] says.
    pub data: PathBuf,
    /// A directory for its own files.
    pub run_directory: PathBuf,
    /// The directory of the artifact, to which a server may write.
    pub artifact: PathBuf,
    /// The password of every server of the trial: a full dump restores the accounts of one server into another.
    pub password: Secret,
    /// True for the one database of a trial that the user may want to connect to.
    pub is_live: bool,
    /// The network of its container.
    pub network: Network,
    /// The account on which its resources are counted.
    pub account: Account,
    /// How long a server may take to start.
    pub start_timeout: Duration,
}
