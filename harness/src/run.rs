//! One execution of a scenario: plan, preflight, trials, and results that are saved after each trial.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use reports::record::{Calibration, Results, Run, SCHEMA, Trial};
use reports::render::markdown::markdown;

use crate::dataset::DatasetSpec;
use crate::dataset::cache::{self, CachedDataset};
use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::measure::{calibration, host};
use crate::plan::{Plan, TrialPlan};
use crate::process::{Account, Cancel, Launcher};
use crate::trial::{self, Site, Source};
use crate::worker::Job;
use crate::workspace::{STAGED, Workspace};

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
        let (runs, processes) = (swept.runs, swept.processes);
        observer(Event::Note(format!(
            "cleaned what {runs} killed run(s) had left: {processes} process(es), files"
        )));
    }
    plan.check_disk(workspace.root(), cached_bytes(plan, &workspace.cache()))?;
    let mut archive = Archive::open(request, &workspace)?;
    let work = workspace.work_directory(&plan.scenario.name)?;
    let mut sources: Vec<(DatasetSpec, Source)> = Vec::new();
    let left = archive.left(plan);
    if left.len() < plan.trials.len() {
        let done = plan.trials.len() - left.len();
        observer(Event::Note(format!("{done} of {} trials have a record already", plan.trials.len())));
    }
    for (index, trial_plan) in left.iter().enumerate() {
        cancel.check()?;
        if !sources.iter().any(|(known, _)| *known == trial_plan.dataset) {
            let (source, calibration) =
                prepare(&trial_plan.dataset, &workspace, work.path(), cancel, observer)?;
            archive.results.run.calibration.push(calibration);
            sources.push((trial_plan.dataset.clone(), source));
        }
        let source = sources.iter().find(|(known, _)| *known == trial_plan.dataset);
        let source = &source.expect("it was prepared above").1;
        observer(Event::TrialStarted {
            number: plan.trials.len() - left.len() + index + 1,
            of: plan.trials.len(),
            id: &trial_plan.id,
            seconds_left: left[index..].iter().map(|trial| trial.seconds(&plan.scenario)).sum(),
        });
        let directory = work.path().join(format!("trial-{}", index + 1));
        std::fs::create_dir(&directory).context("cannot create the directory of a trial")?;
        let site = Site { source, directory: &directory, cancel, observer };
        let trial = trial::run(trial_plan, &plan.scenario, &site)?;
        std::fs::remove_dir_all(&directory).context("cannot remove the directory of a trial")?;
        archive.add(trial)?;
        observer(Event::TrialFinished(archive.results.trials.last().expect("one was added")));
    }
    Ok((archive.results, archive.directory))
}

/// Bytes of the plan's datasets that are in the cache already.
pub fn cached_bytes(plan: &Plan, directory: &Path) -> u64 {
    let datasets = plan.datasets();
    datasets.iter().filter(|(spec, _)| cache::is_cached(directory, spec)).map(|(_, bytes)| bytes).sum()
}

/// Generates a dataset or finds it in the cache, takes its digest, and measures what the machine can do with it.
fn prepare(
    spec: &DatasetSpec,
    workspace: &Workspace,
    work: &Path,
    cancel: &Cancel,
    observer: Observer<'_>,
) -> Result<(Source, Calibration)> {
    let CachedDataset { database, rows, torrents, .. } =
        cache::obtain(&workspace.cache(), spec, &|| cancel.is_cancelled(), &mut |bytes| {
            observer(Event::Generating { dataset: spec, bytes });
        })?;
    observer(Event::Preparing("taking the digest of the dataset".into()));
    let launcher = Launcher::new(work, cancel);
    let job = Job::Digest { database: database.clone(), torrents };
    let content = launcher.work(Account::Preparation, &job, &mut |_| {})?;
    observer(Event::Preparing("measuring what the disk can do".into()));
    let calibration = calibration::measure(&launcher, &database, work)?;
    cancel.check()?;
    Ok((Source { database, rows, content }, calibration))
}

/// The results of a run and where they are kept.
struct Archive {
    directory: PathBuf,
    results: Results,
}

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
        let archive =
            Archive { directory, results: Results { schema: SCHEMA.into(), run, trials: Vec::new() } };
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
        Ok(Archive { directory, results })
    }

    /// The planned trials without a record.
    fn left<'a>(&self, plan: &'a Plan) -> Vec<&'a TrialPlan> {
        let done = |planned: &&TrialPlan| self.results.trials.iter().any(|trial| trial.id == planned.id);
        plan.trials.iter().filter(|planned| !done(planned)).collect()
    }

    fn add(&mut self, trial: Trial) -> Result<()> {
        let copy_seconds = trial.backup.as_ref().and_then(|backup| backup.copy_seconds);
        let run = &mut self.results.run;
        let calibration =
            run.calibration.iter_mut().rfind(|entry| entry.dataset_bytes == trial.dataset.bytes);
        if let Some((calibration, seconds)) = calibration.zip(copy_seconds) {
            calibration.copy_seconds.push(seconds);
        }
        self.results.trials.push(trial);
        self.save()
    }

    fn save(&self) -> Result<()> {
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
