//! One execution of a scenario: plan, preflight, trials, and results that are saved after each trial.

mod reserve;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use reports::record::{Calibration, Results, Run, SCHEMA, Trial};
use reports::render::markdown::markdown;

use crate::container::Network;
use crate::dataset::cache::{self, CachedDataset};
use crate::dataset::{self, DatasetSpec, own};
use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::file_system;
use crate::images::{self, Kind};
use crate::measure::{calibration, host, storage};
use crate::plan::{Plan, TrialPlan};
use crate::process::{Account, Cancel, Launcher};
use crate::scenario::{App, Engine, Scenario};
use crate::subject::{Server, ServerSetup};
use crate::trial::{self, Images, Site, Source};
use crate::verify::{ContentDigest, Database};
use crate::worker::Job;
use crate::workspace::{STAGED, Workspace};
use reserve::Reserve;

/// What is to be run.
pub struct Request {
    /// The plan.
    pub plan: Plan,
    /// The directory of datasets, working copies and results.
    pub root: PathBuf,
    /// Where the results go; a directory of its own below `root` when absent.
    pub out: Option<PathBuf>,
    /// Go on with the run that `out` or `latest` holds: trials with a record are not repeated.
    pub resume: bool,
    /// The command line that repeats this run.
    pub command: String,
    /// The version of this program.
    pub harness_version: String,
}

/// The name of the results file in a results directory.
pub const RESULTS: &str = "results.json";
/// The name of the report beside it.
pub const REPORT: &str = "report.md";
/// The link to the newest results directory.
pub const LATEST: &str = "latest";

/// Runs a plan. Returns the results and the directory that holds them.
///
/// # Errors
/// [`Error::Input`] and [`Error::Environment`] before anything has an effect; [`Error::Interrupted`] with
/// everything measured so far saved; otherwise what went wrong in the harness.
pub fn run(request: &Request, cancel: &Cancel, observer: Observer<'_>) -> Result<(Results, PathBuf)> {
    let plan = &request.plan;
    let workspace = Workspace::open(&request.root)?;
    let swept = workspace.sweep()?;
    if swept.runs > 0 {
        observer(Event::Note(format!(
            "cleaned what {} killed run(s) had left: {} process(es), {} container(s), {} file system(s), files",
            swept.runs, swept.processes, swept.containers, swept.file_systems
        )));
    }
    plan.check_disk(workspace.root(), cached_bytes(plan, &workspace.cache()))?;
    let mut archive = Archive::open(request, &workspace)?;
    let work = workspace.work_directory(&plan.scenario.name)?;
    let left = archive.left(plan);
    let images = obtain_images(&left, &plan.scenario, &Launcher::new(work.path(), cancel), observer)?;
    let mut sources: Vec<(Engine, DatasetSpec, Source)> = Vec::new();
    if left.len() < plan.trials.len() {
        let done = plan.trials.len() - left.len();
        observer(Event::Note(format!("{done} of {} trials have a record already", plan.trials.len())));
    }
    for (index, trial_plan) in left.iter().enumerate() {
        cancel.check()?;
        let (engine, spec) = (trial_plan.deployment.engine, &trial_plan.dataset);
        if !sources.iter().any(|(on, known, _)| (*on, known) == (engine, spec)) {
            let scenario = &plan.scenario;
            let desk = Desk {
                workspace: &workspace,
                work: work.path(),
                images: &images,
                scenario,
                cancel,
                observer,
            };
            let (source, calibration) = desk.prepare(engine, spec)?;
            archive.results.run.calibration.push(calibration);
            sources.push((engine, spec.clone(), source));
        }
        let source = sources.iter().find(|(on, known, _)| (*on, known) == (engine, spec));
        let source = &source.expect("it was prepared above").2;
        observer(Event::TrialStarted {
            number: plan.trials.len() - left.len() + index + 1,
            of: plan.trials.len(),
            id: &trial_plan.id,
            seconds_left: left[index..].iter().map(|trial| trial.seconds(&plan.scenario)).sum(),
        });
        archive.keep_room()?;
        let directory = work.path().join(format!("trial-{}", index + 1));
        std::fs::create_dir(&directory).context("cannot create the directory of a trial")?;
        let cache = &workspace.cache();
        let site = Site { source, images: &images, directory: &directory, cache, cancel, observer };
        let trial = trial::run(trial_plan, &plan.scenario, &site)?;
        // What could not be unmounted or removed at once must not be lost with the directory that tells of it.
        file_system::sweep(&directory)?;
        std::fs::remove_dir_all(&directory).context("cannot remove the directory of a trial")?;
        archive.add(trial)?;
        observer(Event::TrialFinished(archive.results.trials.last().expect("one was added")));
    }
    Ok((archive.results, archive.directory))
}

/// Bytes of the plan's datasets that are in the cache already. Those of MySQL are not looked for: which server they
/// were made by is known only once there is an image.
pub fn cached_bytes(plan: &Plan, directory: &Path) -> u64 {
    let datasets = plan.datasets();
    let cached = datasets
        .iter()
        .filter(|(engine, spec, _)| *engine == Engine::Sqlite && cache::is_cached(directory, spec));
    cached.map(|(_, _, bytes)| bytes).sum()
}

/// Gets the images that these trials need. Without those of a subject there is no run; without those of strategies,
/// only some of these are unavailable.
fn obtain_images(
    trials: &[&TrialPlan],
    scenario: &Scenario,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<Images> {
    let named = &scenario.subject.images;
    let any = |wanted: &dyn Fn(&TrialPlan) -> bool| trials.iter().any(|trial| wanted(trial));
    let obtain = |kind, named: &Option<String>| images::obtain(kind, named.as_deref(), launcher, observer);
    let mut images = Images::default();
    if any(&|trial| trial.deployment.engine == Engine::Mysql) {
        images.mysql = Some(obtain(Kind::Mysql, &named.mysql)?);
    }
    if any(&|trial| trial.deployment.app == App::Tracker) {
        images.tracker = Some(obtain(Kind::Tracker, &named.tracker)?);
    }
    for kind in Kind::ALL {
        if any(&|trial| trial.image() == Some(kind)) {
            let obtained = match obtain(kind, &None) {
                Ok(image) => Ok(image),
                Err(Error::Environment(cause)) => Err(cause),
                Err(error) => return Err(error),
            };
            images.tools.insert(kind, obtained);
        }
    }
    Ok(images)
}

/// What datasets are prepared with.
struct Desk<'a> {
    workspace: &'a Workspace,
    work: &'a Path,
    images: &'a Images,
    scenario: &'a Scenario,
    cancel: &'a Cancel,
    observer: Observer<'a>,
}

impl Desk<'_> {
    /// Gets a dataset, and measures what the machine can do with it.
    fn prepare(&self, engine: Engine, spec: &DatasetSpec) -> Result<(Source, Calibration)> {
        let source = match (engine, &self.scenario.database) {
            (_, Some(file)) => self.own(file, spec)?,
            (Engine::Sqlite, None) => self.sqlite(spec)?,
            (Engine::Mysql, None) => self.mysql(spec)?,
        };
        (self.observer)(Event::Preparing("measuring what the disk can do".into()));
        let calibration = calibration::measure(&self.launcher(), &source.database, self.work)?;
        self.cancel.check()?;
        Ok((source, calibration))
    }

    fn launcher(&self) -> Launcher {
        Launcher::new(self.work, self.cancel)
    }

    /// Generates a database or finds it in the cache, and takes its digest.
    fn sqlite(&self, spec: &DatasetSpec) -> Result<Source> {
        let CachedDataset { database, rows, bytes, .. } =
            cache::obtain(&self.workspace.cache(), spec, &|| self.cancel.is_cancelled(), &mut |bytes| {
                (self.observer)(Event::Generating { dataset: spec, bytes })
            })?;
        let content = self.digest(&database, spec)?;
        Ok(Source { database, bytes, rows, content })
    }

    fn digest(&self, database: &Path, spec: &DatasetSpec) -> Result<ContentDigest> {
        (self.observer)(Event::Preparing("taking the digest of the dataset".into()));
        let database = Database::Sqlite(database.to_owned());
        let job = Job::Digest { database, dataset: spec.clone() };
        self.launcher().work(Account::Preparation, &job, &mut |_| {})
    }

    /// Copies a database of the user's own, adds the tables that the workload writes to, and takes its digest.
    fn own(&self, file: &Path, spec: &DatasetSpec) -> Result<Source> {
        (self.observer)(Event::Preparing(format!("copying {} and checking the copy", file.display())));
        let database = self.work.join("own.sqlite");
        own::copy(&self.launcher(), file, &database)?;
        let integrity = self.scenario.trial.integrity;
        let job = Job::Adopt { copy: database.clone(), seed: spec.seed, integrity };
        let adopted = self.launcher().work(Account::Preparation, &job, &mut |_| {});
        let content = adopted.and_then(|()| self.digest(&database, spec)).map_err(|error| match error {
            // What cannot be read is the file, and not a bug.
            Error::Bug(cause) => Error::Input(format!("cannot use {}: {cause:#}", file.display())),
            other => other,
        })?;
        let origin = dataset::origin(spec)?;
        let is_rows_of = |table: &str| table != origin.tables().torrents && !table.starts_with("sqlite_");
        let others = content.tables.iter().filter(|(table, _)| is_rows_of(table));
        let rows = origin.torrents() + others.map(|(_, digest)| digest.rows).sum::<u64>();
        let bytes = storage::bytes(&database);
        Ok(Source { database, bytes, rows, content })
    }

    /// Loads a database with a server of its own, or finds its data directory in the cache.
    fn mysql(&self, spec: &DatasetSpec) -> Result<Source> {
        let image = self.images.mysql.as_ref().expect("the image of a subject was obtained first");
        let cancelled = || self.cancel.is_cancelled();
        let cached =
            cache::obtain_mysql(&self.workspace.cache(), spec, &image.id, &cancelled, &mut |data| {
                let setup = ServerSetup {
                    image: image.reference.clone(),
                    data_directory: data.to_owned(),
                    run_directory: self.work.join("run-loading"),
                    artifact: self.work.to_owned(),
                    options: dataset::mysql::LOADING_OPTIONS
                        .iter()
                        .map(|option| (*option).to_owned())
                        .collect(),
                    port: None,
                    network: Network::Bridge,
                    account: Account::Preparation,
                };
                (self.observer)(Event::Preparing("starting a MySQL server to load the dataset".into()));
                let mut server = Server::new(&self.launcher(), setup)?;
                server.start()?;
                let loaded = dataset::mysql::load(server.address(), spec, &cancelled, &mut |bytes| {
                    (self.observer)(Event::Generating { dataset: spec, bytes });
                })?;
                server.stop()?;
                Ok(loaded)
            })?;
        Ok(Source {
            database: cached.data_directory,
            bytes: cached.bytes,
            rows: cached.rows,
            content: cached.content,
        })
    }
}

/// The results of a run and where they are kept.
struct Archive {
    directory: PathBuf,
    results: Results,
    /// For what the next trial adds.
    reserve: Option<Reserve>,
}

/// A record of a trial of an hour, and its part of the report.
const RECORD_BYTES_MAX: u64 = 4 << 20;

impl Archive {
    fn open(request: &Request, workspace: &Workspace) -> Result<Archive> {
        if request.resume {
            return Archive::resume(request, workspace);
        }
        let started_at = Timestamp::now();
        let plan = &request.plan;
        let mut id = format!("{}-{}", plan.scenario.name, started_at.strftime("%Y%m%dT%H%M%SZ"));
        while request.out.is_none() && workspace.root().join(&id).exists() {
            id.push('+');
        }
        let directory = request.out.clone().unwrap_or_else(|| workspace.root().join(&id));
        let refused = |error: std::io::Error| {
            Error::Input(format!(
                "cannot write results to {}: {error}; choose another with --out",
                directory.display()
            ))
        };
        std::fs::create_dir_all(&directory).map_err(refused)?;
        tempfile::tempfile_in(&directory).map_err(refused)?;
        if directory.join(RESULTS).exists() {
            return Err(Error::Input(format!(
                "{} holds results already: choose another --out, or go on with that run with --resume",
                directory.display()
            )));
        }
        let run = Run {
            id,
            scenario: plan.scenario.name.clone(),
            description: plan.scenario.description.clone(),
            command: request.command.clone(),
            planned_trials: plan.trials.len() as u32,
            started_at,
            seed: plan.scenario.seed,
            harness_version: request.harness_version.clone(),
            host: host::describe(workspace.root()),
            calibration: Vec::new(),
        };
        let results = Results { schema: SCHEMA.into(), run, trials: Vec::new() };
        let mut archive = Archive { directory, results, reserve: None };
        archive.save()?;
        archive.link(workspace)?;
        Ok(archive)
    }

    fn resume(request: &Request, workspace: &Workspace) -> Result<Archive> {
        let directory = request.out.clone().unwrap_or_else(|| workspace.root().join(LATEST));
        let directory = directory.canonicalize().map_err(|error| {
            Error::Input(format!("there is no run to resume in {}: {error}", directory.display()))
        })?;
        let mut results =
            Results::load(&directory.join(RESULTS)).map_err(|error| Error::Input(error.to_string()))?;
        let (plan, run) = (&request.plan, &results.run);
        let same = run.scenario == plan.scenario.name
            && run.seed == plan.scenario.seed
            && results.trials.iter().all(|trial| plan.trials.iter().any(|planned| planned.id == trial.id));
        if !same {
            return Err(Error::Input(format!(
                "{} holds a run of another plan (scenario '{}', seed {}): resume with the same scenario and flags, as \
                 in '{}'",
                directory.display(),
                run.scenario,
                run.seed,
                run.command
            )));
        }
        results.run.planned_trials = plan.trials.len() as u32;
        results.run.command.clone_from(&request.command);
        Ok(Archive { directory, results, reserve: None })
    }

    /// Takes the disk space that saving after the next trial needs: what there is now, written once more, and a record.
    fn keep_room(&mut self) -> Result<()> {
        let saved = [RESULTS, REPORT].map(|name| storage::bytes(&self.directory.join(name)));
        let bytes = saved.iter().sum::<u64>() + RECORD_BYTES_MAX;
        let room = Reserve::take(&self.directory, bytes);
        let place = || format!("cannot keep room for results in {}", self.directory.display());
        self.reserve = Some(room.with_context(place)?);
        Ok(())
    }

    /// The planned trials without a record.
    fn left<'a>(&self, plan: &'a Plan) -> Vec<&'a TrialPlan> {
        let done = |planned: &&TrialPlan| self.results.trials.iter().any(|trial| trial.id == planned.id);
        plan.trials.iter().filter(|planned| !done(planned)).collect()
    }

    fn add(&mut self, trial: Trial) -> Result<()> {
        let copy_seconds = trial.backup.as_ref().and_then(|backup| backup.copy_seconds);
        let run = &mut self.results.run;
        // What was copied to another file system says nothing about the disk.
        let copy_seconds =
            copy_seconds.filter(|_| trial.file_system.as_deref().is_none_or(|on| on == run.host.filesystem));
        let calibration =
            run.calibration.iter_mut().rfind(|entry| entry.dataset_bytes == trial.dataset.bytes);
        if let Some((calibration, seconds)) = calibration.zip(copy_seconds) {
            calibration.copy_seconds.push(seconds);
        }
        self.results.trials.push(trial);
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.reserve = None;
        let json = serde_json::to_vec_pretty(&self.results).context("results are plain data")?;
        self.write(RESULTS, &json)?;
        self.write(REPORT, markdown(&self.results).as_bytes())
    }

    /// Replaces a file as a whole: a reader, or a kill, meets the old one or the new one.
    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.directory.join(name);
        let staged = self.directory.join(format!("{STAGED}{name}"));
        let save = || -> std::io::Result<()> {
            let mut file = File::create(&staged)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&staged, &path)
        };
        save().with_context(|| format!("cannot save {}", path.display()))?;
        Ok(())
    }

    /// Points `latest` here.
    fn link(&self, workspace: &Workspace) -> Result<()> {
        let link = workspace.root().join(LATEST);
        let target = self.directory.canonicalize().context("cannot resolve the results directory")?;
        let target = target.strip_prefix(workspace.root()).unwrap_or(&target);
        let staged = workspace.root().join(format!("{STAGED}{LATEST}-{}", std::process::id()));
        let make = || -> std::io::Result<()> {
            std::os::unix::fs::symlink(target, &staged)?;
            std::fs::rename(&staged, &link)
        };
        make().with_context(|| format!("cannot point {} at the results", link.display()))?;
        Ok(())
    }
}
