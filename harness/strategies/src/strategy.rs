//! Ways to back up and restore. One file a strategy, one line in [`STRATEGIES`].

use std::path::{Path, PathBuf};

use anyhow::anyhow;
pub use engines::images::{self, Image};
use engines::kinds::Engine;
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
    /// What it is, promises and needs.
    fn card(&self) -> Card;

    /// The image that its containers are made from, where it has any on this engine.
    fn image(&self, _engine: Engine) -> Option<images::Kind> {
        self.card().contained.then_some(images::Kind::Tools)
    }

    /// True when it takes configuration files along: each of its trials has some beside the database, and holds what
    /// comes back against them.
    fn takes_configuration(&self) -> bool {
        false
    }

    /// Completes given settings with the defaults.
    ///
    /// # Errors
    /// What is wrong with them: an unknown name, a wrong type, an impossible value.
    fn complete(&self, given: &Settings) -> Result<Settings, String>;

    /// Looks whether what complete settings name is there, before anything has an effect. Relative paths count from
    /// `directory`, that of the scenario.
    ///
    /// # Errors
    /// What is missing.
    fn check(&self, _settings: &Settings, _directory: &Path) -> Result<(), String> {
        Ok(())
    }

    /// The commands of its card that it runs on this engine.
    fn tools(&self, _engine: Engine) -> &'static [Tool] {
        self.card().tools
    }

    /// What this machine lacks to run it with these settings, and how to get it.
    fn missing(&self, _settings: &Settings, engine: Engine) -> Option<String> {
        self.tools(engine).iter().find_map(Tool::missing)
    }

    /// How often the artifact is restored in the tail of a trial, while the application runs and the artifact grows:
    /// what ships has to be good at every moment, and not only at the last.
    fn live_restores(&self, _settings: &Settings) -> u32 {
        0
    }

    /// Size of the artifact and of what else it keeps, at most, as a multiple of the database: only plans use it.
    fn artifact_copies(&self) -> f64 {
        1.0
    }

    /// What it is held to with these settings.
    fn promise(&self, _settings: &Settings) -> Promise {
        self.card().promise
    }

    /// Whether its backup can be kept on another disk than the live data in this directory, so that it survives the loss
    /// of that disk; `None` where nobody can tell.
    fn survives_disk_loss(&self, _engine: Engine, _live: &Path, _settings: &Settings) -> Option<bool> {
        Some(true)
    }

    /// True when it leaves out the torrents that were never completed: that they are missing is no loss then.
    fn leaves_out_never_completed(&self) -> bool {
        false
    }

    /// The program that these settings name, where that is none of the card's tools: looked for, or fetched, before the
    /// trial begins.
    ///
    /// # Errors
    /// [`Error::Environment`] with what is missing and how to get it; [`Error::Interrupted`].
    fn program(&self, _settings: &Settings, _shelf: &Shelf<'_>) -> Result<Option<Program>> {
        Ok(None)
    }

    /// Starts what ships all the while, before the backup is called; most strategies ship nothing.
    ///
    /// # Errors
    /// Why it could not be started.
    fn arm(&self, _context: &mut BackupContext<'_>) -> Result<Option<Box<dyn Shipper>>, Halt> {
        Ok(None)
    }

    /// Backs the live database up into `context.destination`.
    ///
    /// # Errors
    /// Why it ended without an artifact.
    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt>;

    /// Builds the data of `context.subject` from the artifact alone: a file or a data directory, or a load into its
    /// fresh server.
    ///
    /// # Errors
    /// Why it ended without them.
    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt>;

    /// What keeps it from its work on data in this directory, where there is none yet, and what to do about that.
    fn obstacle(&self, _engine: Engine, _directory: &Path, _settings: &Settings) -> Option<String> {
        None
    }

    /// Size of what a restore needs of the directory of the artifact.
    fn artifact_bytes(&self, artifact: &Path) -> u64 {
        storage::bytes(artifact)
    }

    /// What a restored database is held to, in a trial with these moments.
    fn kept(&self, settings: &Settings, moments: &Moments) -> Kept {
        let acknowledged_before_ns = match self.promise(settings).keeps {
            Keeps::Nothing => None,
            Keeps::Earlier => Some(moments.backup_began_ns),
            Keeps::AllBut { last } => Some(moments.disaster_ns.saturating_sub(last.as_nanos() as u64)),
        };
        Kept { acknowledged_before_ns, sent_after_ns: None }
    }

    /// What the strategy does itself, without a tool: runs in a worker process, started by [`Watch::work`].
    ///
    /// # Errors
    /// What went wrong.
    fn work(&self, _task: Value, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        anyhow::bail!("{} has no work of its own", self.card().name)
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
    /// What it is held to, where its settings do not change that: see [`Strategy::promise`].
    pub promise: Promise,
    /// Each setting with its meaning; names and defaults come from [`Strategy::complete`].
    pub settings: &'static [(&'static str, &'static str)],
    /// Commands that have to be on PATH.
    pub tools: &'static [Tool],
    /// True when it runs commands in containers: of the tools image, if [`Strategy::image`] does not say otherwise.
    pub contained: bool,
    /// What it costs, for plans.
    pub cost: Cost,
}

/// Families of strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Copies pages while writers go on.
    Online,
    /// Stops the application.
    Cold,
    /// Writes statements instead of pages.
    Logical,
    /// Has the file system share what the database is made of.
    Snapshot,
    /// Ships every change as it is made.
    Continuous,
    /// Commands of the user's own.
    External,
    /// Promises nothing: shows that the verifier has teeth.
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

/// What ships changes while the application runs. It ends when dropped.
pub trait Shipper {
    /// What is known about its end, when it ended by itself.
    fn ended(&self) -> Option<String>;

    /// What it has used so far; `None` where nobody knows.
    fn counters(&self) -> Option<Counters>;

    /// The last lines that it printed.
    fn last_lines(&self) -> String {
        String::new()
    }

    /// Reads what it has used, because its end is near and nobody could tell afterwards.
    fn note(&mut self) {}

    /// Ends it with SIGKILL.
    fn kill(&mut self);

    /// Starts it once more after [`Shipper::kill`], as it was started first.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start_again(&mut self) -> Result<()> {
        Err(Error::Environment("what ships the changes cannot be started again".into()))
    }
}

/// Time as a multiple of a plain copy's, in orders of size: only plans use it.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Of the backup.
    pub backup: f64,
    /// Of the restore.
    pub restore: f64,
}

/// Deserialises given settings into their type, defaults filled in, and back.
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

/// What a strategy gets to back up with.
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

    /// Where an artifact goes that is a database file: named as the live one.
    pub fn target(&self) -> PathBuf {
        self.destination.join(self.subject.data().file_name().expect("a database is a file"))
    }
}

/// What a strategy gets to restore with.
pub struct RestoreContext<'a> {
    /// The directory of the artifact.
    pub artifact: &'a Path,
    /// What is to run on the restored data: its data is not there yet.
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
        (!self.is_running()).then(|| format!("what shipped the changes ended: {}", self.last_words()))
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

/// One stage of a pipeline that a strategy runs: started with the account of the strategy.
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

/// A pipeline of tools, as a line for the shell, that reaches the artifact and nothing else.
///
/// # Errors
/// Without the image of the tools.
pub(crate) fn contained(
    name: &'static str,
    tools: Option<&Image>,
    artifact: &Path,
    script: &str,
) -> Result<Spec, Halt> {
    let image = tools.ok_or_else(|| Error::Bug(anyhow!("without the tools image there is no trial")))?;
    let mut spec = Spec::shell(&image.reference, name, script);
    spec.network = Network::None;
    spec.mounts.push(Mount { host: artifact.to_owned(), container: ARTIFACT.into(), read_only: false });
    Ok(spec)
}
