//! Ways to back up and restore. One file a strategy, one line in [`STRATEGIES`].

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use engines::engine::Engine;
pub use engines::images::{self, Image};
use engines::mysql::server::ARTIFACT;
use engines::subject::Subject;
use machine::container::{Container, Mount, Network, Spec};
use machine::error::{Error, Result};
use machine::measure::storage;
use machine::process::{Account, Child, Counters};
use machine::tool::{Program, Tool};
use machine::wheel::Shelf;
use machine::worker::Progress;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::halt::Halt;
pub use crate::promise::{Keeps, Kept, Moments, Promise};
use crate::watch::Watch;

/// The settings of a variant, defaults included.
pub type Settings = serde_json::Map<String, Value>;

/// A way to back up and restore.
pub trait Strategy: Sync {
    /// Its description: what it is, promises and needs.
    fn card(&self) -> Card;

    /// The image of its containers; `None` when it runs no containers on this engine.
    fn image(&self, _engine: &'static dyn Engine) -> Option<&'static images::ImageKind> {
        self.card().contained.then_some(&images::TOOLS)
    }

    /// True when it also backs up configuration files: each of its trials then has some beside the database, and
    /// compares the restored ones with them.
    fn takes_configuration(&self) -> bool {
        false
    }

    /// Completes given settings with the defaults.
    ///
    /// # Errors
    /// What is wrong with them: an unknown name, a wrong type, an impossible value.
    fn complete(&self, given: &Settings) -> Result<Settings, String>;

    /// Checks that the files and programs that complete settings name exist, before the run changes anything. Relative
    /// paths are relative to `directory`, the scenario's directory.
    ///
    /// # Errors
    /// What is missing.
    fn check(&self, _settings: &Settings, _directory: &Path) -> Result<(), String> {
        Ok(())
    }

    /// The commands from its card that it needs on this engine.
    fn tools(&self, _engine: &'static dyn Engine) -> &'static [Tool] {
        self.card().tools
    }

    /// What is missing on this machine to run it with these settings, and how to get it.
    fn missing(&self, _settings: &Settings, engine: &'static dyn Engine) -> Option<String> {
        self.tools(engine).iter().find_map(Tool::missing)
    }

    /// How often the artifact is restored during the tail of a trial, while the application runs and the artifact
    /// grows: a continuous replica must be restorable at every moment, not only at the end.
    fn live_restores(&self, _settings: &Settings) -> u32 {
        0
    }

    /// Maximum size of the artifact and of any other files that it keeps, as a multiple of the database size. Used only
    /// for planning.
    fn artifact_copies(&self) -> f64 {
        1.0
    }

    /// What it promises with these settings.
    fn promise(&self, _settings: &Settings) -> Promise {
        self.card().promise
    }

    /// Whether its backup can be on another disk than the live data in this directory, so that it survives the loss of
    /// that disk; `None` when this is unknown.
    fn survives_disk_loss(
        &self,
        _engine: &'static dyn Engine,
        _live: &Path,
        _settings: &Settings,
    ) -> Option<bool> {
        Some(true)
    }

    /// True when it leaves out the torrents that were never completed: their absence does not count as data loss.
    fn leaves_out_never_completed(&self) -> bool {
        false
    }

    /// The program that these settings name, when it is not one of the card's tools. It is located, or downloaded,
    /// before the trial begins.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing and how to get it; [`Error::Interrupted`].
    fn program(&self, _settings: &Settings, _shelf: &Shelf<'_>) -> Result<Option<Program>> {
        Ok(None)
    }

    /// Starts continuous replication, before the backup is called. Most strategies have none.
    ///
    /// # Errors
    /// Why it could not be started.
    fn arm(&self, _context: &mut BackupContext<'_>) -> Result<Option<Box<dyn Shipper>>, Halt> {
        Ok(None)
    }

    /// Backs up the live database into `context.destination`.
    ///
    /// # Errors
    /// Why it ended without an artifact.
    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt>;

    /// Builds the data of `context.subject` from the artifact alone: a file or a data directory, or by loading it into
    /// a fresh server.
    ///
    /// # Errors
    /// Why it ended without restored data.
    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt>;

    /// Why it cannot run on data placed in this directory, and what to do about it. The data need not exist yet.
    fn obstacle(
        &self,
        _engine: &'static dyn Engine,
        _directory: &Path,
        _settings: &Settings,
    ) -> Option<String> {
        None
    }

    /// Size of the part of the artifact's directory that a restore needs.
    fn artifact_bytes(&self, artifact: &Path) -> u64 {
        storage::bytes(artifact)
    }

    /// The writes that a restored database must and must not contain, in a trial with these moments.
    fn kept(&self, settings: &Settings, moments: &Moments) -> Kept {
        let acknowledged_before_ns = match self.promise(settings).keeps {
            Keeps::Nothing => None,
            Keeps::Earlier => Some(moments.backup_began_ns),
            Keeps::AllBut { last } => Some(moments.disaster_ns.saturating_sub(last.as_nanos() as u64)),
        };
        Kept { acknowledged_before_ns, sent_after_ns: None }
    }

    /// What the strategy does in the harness's own code, without an external tool. It runs in a worker process.
    ///
    /// # Errors
    /// What went wrong.
    fn work(&self, _task: Value, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        anyhow::bail!("{} runs no work in a worker process", self.card().name)
    }
}

/// What a strategy is, promises and needs.
pub struct Card {
    /// Name in scenarios, flags and records.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// `sqlite`, `mysql`.
    pub engines: &'static [&'static str],
    /// Which family it belongs to.
    pub kind: Kind,
    /// What it promises, unless its settings change that: see [`Strategy::promise`].
    pub promise: Promise,
    /// Each setting with its meaning; names and defaults come from [`Strategy::complete`].
    pub settings: &'static [(&'static str, &'static str)],
    /// Commands that must be on PATH.
    pub tools: &'static [Tool],
    /// True when it runs commands in containers: of the tools image, unless [`Strategy::image`] names another.
    pub contained: bool,
    /// What it costs, for planning.
    pub cost: Cost,
}

/// Families of strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Copies pages while the application keeps writing.
    Online,
    /// Stops the application.
    Cold,
    /// Writes SQL statements instead of pages.
    Logical,
    /// Uses a snapshot of the file system, or reflinks.
    Snapshot,
    /// Replicates every change as it is made.
    Continuous,
    /// Commands that the user supplies.
    External,
    /// Negative control: unsafe on purpose, promises nothing.
    Control,
}

impl Kind {
    /// The name in listings and records.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Online => "online",
            Kind::Cold => "cold",
            Kind::Logical => "logical",
            Kind::Snapshot => "snapshot",
            Kind::Continuous => "continuous",
            Kind::External => "external",
            Kind::Control => "control",
        }
    }
}

/// A process that replicates changes while the application runs. It is stopped when dropped.
pub trait Shipper {
    /// How it ended, when it exited without being killed by the harness.
    fn ended(&self) -> Option<String>;

    /// The resources that it has used so far; `None` when they are unknown.
    fn counters(&self) -> Option<Counters>;

    /// The last lines that it printed.
    fn last_lines(&self) -> String {
        String::new()
    }

    /// Reads the resources that it has used, shortly before it is killed: afterwards they cannot be read any more.
    fn note(&mut self) {}

    /// Kills it with SIGKILL.
    fn kill(&mut self);

    /// Starts it again after [`Shipper::kill`], in the same way as the first time.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start_again(&mut self) -> Result<()> {
        Err(Error::Environment("this replication process cannot be restarted".into()))
    }
}

/// Time as a multiple of the time of a plain copy, as a rough estimate. Used only for planning.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Of the backup.
    pub backup: f64,
    /// Of the restore.
    pub restore: f64,
}

/// Deserialises given settings into their type, fills in the defaults, and serialises them again.
pub(crate) fn complete<S: Serialize + DeserializeOwned>(given: &Settings) -> Result<(S, Settings), String> {
    let settings: S = parse(given)?;
    match serde_json::to_value(&settings) {
        Ok(Value::Object(complete)) => Ok((settings, complete)),
        _ => unreachable!("settings are structs of plain values"),
    }
}

pub(crate) fn parse<S: DeserializeOwned>(settings: &Settings) -> Result<S, String> {
    serde_json::from_value(Value::Object(settings.clone())).map_err(|error| error.to_string())
}

/// What a strategy receives for a backup.
pub struct BackupContext<'a> {
    /// The live application.
    pub subject: &'a mut Subject,
    /// An empty directory for the artifact.
    pub destination: &'a Path,
    /// Complete settings.
    pub settings: &'a Settings,
    /// The directory of the scenario.
    pub scenario_directory: &'a Path,
    /// Runs the strategy's processes, watched for progress, stall and deadline.
    pub watch: &'a mut Watch,
    /// The image of the kind that [`Strategy::image`] names.
    pub tools: Option<&'a Image>,
    /// What [`Strategy::program`] found.
    pub program: Option<&'a Program>,
    /// What [`Strategy::arm`] started.
    pub shipper: Option<&'a mut dyn Shipper>,
}

impl BackupContext<'_> {
    /// The settings in their type.
    pub fn settings<S: DeserializeOwned>(&self) -> S {
        settings_of(self.settings)
    }

    /// The path of an artifact that is a database file: it has the name of the live one.
    pub fn target(&self) -> PathBuf {
        self.destination.join(self.subject.data().file_name().expect("a database is a file"))
    }
}

/// What a strategy receives for a restore.
pub struct RestoreContext<'a> {
    /// The directory of the artifact.
    pub artifact: &'a Path,
    /// The subject that will run on the restored data, which does not exist yet.
    pub subject: &'a mut Subject,
    /// Complete settings.
    pub settings: &'a Settings,
    /// The directory of the scenario.
    pub scenario_directory: &'a Path,
    /// When things happened.
    pub moments: Moments,
    /// Runs the strategy's processes, watched for the deadline.
    pub watch: &'a mut Watch,
    /// As in [`BackupContext`].
    pub tools: Option<&'a Image>,
    /// As in [`BackupContext`].
    pub program: Option<&'a Program>,
}

impl Shipper for Container {
    fn ended(&self) -> Option<String> {
        (!self.is_running()).then(|| format!("the replication container ended: {}", self.last_words()))
    }

    fn counters(&self) -> Option<Counters> {
        Container::counters(self)
    }

    fn last_lines(&self) -> String {
        Container::last_lines(self)
    }

    fn note(&mut self) {
        Container::note(self);
    }

    fn kill(&mut self) {
        Container::kill(self);
    }

    fn start_again(&mut self) -> Result<()> {
        Container::start_again(self)
    }
}

/// Complete settings in their type.
pub(crate) fn settings_of<S: DeserializeOwned>(settings: &Settings) -> S {
    parse(settings).expect("the settings were completed when the scenario was read")
}

/// Starts one process of a pipeline. Its resources are counted as the strategy's.
///
/// # Errors
/// When it cannot be started, although [`Strategy::missing`] found nothing missing.
pub(crate) fn spawn(watch: &Watch, command: std::process::Command) -> Result<Child, Halt> {
    Ok(watch.launcher.spawn(Account::Strategy, command)?)
}

/// What a strategy does itself, without a tool, in a worker process.
#[derive(Serialize, Deserialize)]
pub struct Work {
    /// The strategy's name.
    pub strategy: String,
    /// What it has to do, in its own terms.
    pub task: Value,
}

/// Starts the work of a strategy in a worker.
pub(crate) fn spawn_work(watch: &Watch, name: &str, task: Value) -> Result<Child, Halt> {
    let job = Work { strategy: name.to_owned(), task };
    let (child, _stdin) = watch.launcher.worker(Account::Strategy, &job)?;
    Ok(child)
}

/// A container that runs a pipeline of tools, given as a shell script. It can access the artifact and nothing else.
///
/// # Errors
/// When the tools image is missing.
pub(crate) fn contained(
    name: &'static str,
    tools: Option<&Image>,
    artifact: &Path,
    script: &str,
) -> Result<Spec, Halt> {
    let image = tools.ok_or_else(|| Error::Bug(anyhow!("a trial was started without the tools image")))?;
    let mut spec = Spec::shell(&image.reference, name, script);
    spec.network = Network::None;
    spec.mounts.push(Mount { host: artifact.to_owned(), container: ARTIFACT.into(), read_only: false });
    Ok(spec)
}
