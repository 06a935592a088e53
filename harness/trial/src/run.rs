//! One execution of a scenario: plan, preflight, trials, and results that are saved after each trial.

mod archive;
mod changed;
mod conditions;
mod request;
mod reserve;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use engines::engine::Engine;
use engines::images::{self, ImageKind};
use engines::registry;
use engines::source::{Preparation, Source};
use machine::error::{Error, Result};
use machine::event::{Event, Observer};
use machine::measure::{calibration, storage};
use machine::process::{Cancel, Launcher, kill_marked};
use machine::program_cache::{Fetch, ProgramCache};
use machine::removal::{self, Leftover};
use machine::workspace::{Swept, Workspace};
use model::dataset::DatasetSpec;
use reports::printable;
use reports::record::{Calibration, Results};

use crate::plan::{Plan, TrialPlan};
use crate::scenario::Scenario;
use crate::trial::{self, Images, Keep, Keeper, TrialEnvironment};
use archive::Archive;
pub use changed::changes_since;
pub use request::{LATEST, RESULTS, Request};

/// A run that has ended.
pub struct Finished {
    /// The results.
    pub results: Results,
    /// The directory of the results.
    pub directory: PathBuf,
    /// Files of its trials that could not be removed.
    pub leftovers: Vec<Leftover>,
}

/// Runs a plan.
///
/// # Errors
/// [`Error::Input`] and [`Error::Environment`] before anything has an effect; [`Error::Interrupted`] after
/// everything that was measured so far is saved; otherwise the error in the harness.
pub fn run(request: &Request, cancel: &Cancel, observer: Observer<'_>) -> Result<Finished> {
    let plan = &request.plan;
    let workspace = Workspace::open(&request.root)?;
    tell_swept(&workspace.sweep()?, observer);
    plan.check_disk(workspace.root(), cached_bytes(plan, &workspace.cache()))?;
    let mut archive = Archive::open(request, &workspace)?;
    let work = workspace.work_directory(&plan.scenario.name)?;
    let left = archive.left(plan);
    let images = obtain_images(&left, &plan.scenario, &Launcher::new(work.path(), cancel), observer)?;
    let launcher = Launcher::new(work.path(), cancel);
    let programs = ProgramCache {
        directory: &workspace.cache(),
        relative_to: &plan.scenario.directory,
        fetch: Fetch::Now { launcher: &launcher, observer },
    };
    let differences = conditions::program_differences(&archive.results, &left, &plan.scenario, &programs)?;
    archive.enter_found(conditions::found(&left, &plan.scenario, &images), differences)?;
    let runner = TrialRunner {
        workspace: &workspace,
        work: work.path(),
        images: &images,
        scenario: &plan.scenario,
        keep: request.keep,
        keep_bytes: request.keep_bytes,
        cancel,
        observer,
    };
    let mut sources = Vec::new();
    let mut leftovers = Vec::new();
    let done = plan.trials.len() - left.len();
    if done > 0 {
        observer(Event::Note(format!("{done} of {} trials already have a record", plan.trials.len())));
    }
    for (index, trial_plan) in left.iter().enumerate() {
        cancel.check()?;
        let (engine, spec) = (trial_plan.deployment.engine, &trial_plan.dataset);
        if source_of(&sources, engine, spec).is_none() {
            let (source, calibration) = runner.prepare(trial_plan)?;
            archive.results.run.calibration.push(calibration);
            sources.push((engine, spec.clone(), source));
        }
        let source = source_of(&sources, engine, spec).expect("it was prepared above");
        observer(Event::TrialStarted {
            number: done + index + 1,
            of: plan.trials.len(),
            id: &trial_plan.id,
            seconds_left: left[index..].iter().map(|trial| trial.seconds(&plan.scenario)).sum(),
        });
        let directory = work.path().join(format!("trial-{}", index + 1));
        let needed = needed(&left[index + 1..], &sources);
        leftovers.extend(runner.conduct(trial_plan, source, &directory, needed, &mut archive)?);
        observer(Event::TrialFinished(archive.results.trials.last().expect("one was added")));
    }
    Ok(Finished { results: archive.results, directory: archive.directory, leftovers })
}

type Sources = Vec<(&'static dyn Engine, DatasetSpec, Source)>;

fn source_of<'a>(
    sources: &'a Sources,
    engine: &'static dyn Engine,
    spec: &DatasetSpec,
) -> Option<&'a Source> {
    let found = sources.iter().find(|(on, known, _)| (*on, known) == (engine, spec));
    found.map(|(_, _, source)| source)
}

/// Disk space that these trials need one after the other, with the datasets that are not prepared yet.
fn needed(trials: &[&TrialPlan], sources: &Sources) -> u64 {
    let mut datasets: Vec<(&'static dyn Engine, &DatasetSpec, u64)> = Vec::new();
    for trial in trials {
        let (engine, spec) = (trial.deployment.engine, &trial.dataset);
        let is_counted = datasets.iter().any(|(on, known, _)| (*on, *known) == (engine, spec));
        if !is_counted && source_of(sources, engine, spec).is_none() {
            datasets.push((engine, spec, trial.dataset_bytes));
        }
    }
    let datasets: u64 = datasets.iter().map(|(_, _, bytes)| bytes).sum();
    datasets + trials.iter().map(|trial| trial.disk_bytes()).max().unwrap_or(0)
}

/// Reports what was found of earlier runs, and what could not be removed.
fn tell_swept(swept: &Swept, observer: Observer<'_>) {
    if swept.runs > 0 {
        observer(Event::Note(format!(
            "cleaned up after {} killed run(s): {} process(es), {} container(s), {} file system(s), files",
            swept.runs, swept.processes, swept.containers, swept.file_systems
        )));
    }
    if let [first, others @ ..] = swept.leftovers.as_slice() {
        let more =
            if others.is_empty() { String::new() } else { format!(" ({} more: see 'clean')", others.len()) };
        observer(Event::Note(format!("{first}{more}; this run continues")));
    }
}

/// Bytes of the plan's datasets that are in the cache for certain: some engines know only later.
pub fn cached_bytes(plan: &Plan, directory: &Path) -> u64 {
    let datasets = plan.datasets();
    let cached = datasets.iter().filter(|(engine, spec, _)| engine.is_cached(directory, spec));
    cached.map(|(_, _, bytes)| bytes).sum()
}

/// Obtains the images that these trials need. A missing image of a subject ends the run; a missing image of a strategy
/// only makes the trials of that strategy unavailable.
fn obtain_images(
    trials: &[&TrialPlan],
    scenario: &Scenario,
    launcher: &Launcher,
    observer: Observer<'_>,
) -> Result<Images> {
    let any = |wanted: &dyn Fn(&TrialPlan) -> bool| trials.iter().any(|trial| wanted(trial));
    let obtain = |kind: &'static ImageKind, named| images::obtain(kind, named, launcher, observer);
    let mut images = Images::default();
    for kind in registry::subject_images() {
        if any(&|trial| trial.deployment.images().any(|used| used == kind)) {
            images.subjects.insert(kind, obtain(kind, scenario.subject.images.named(kind))?);
        }
    }
    for kind in registry::images() {
        if any(&|trial| trial.image() == Some(kind)) {
            let obtained = match obtain(kind, scenario.subject.images.named(kind)) {
                Ok(image) => Ok(image),
                Err(Error::Environment(cause)) => Err(cause),
                Err(error) => return Err(error),
            };
            images.tools.insert(kind, obtained);
        }
    }
    Ok(images)
}

/// Prepares datasets and runs trials.
struct TrialRunner<'a> {
    workspace: &'a Workspace,
    work: &'a Path,
    images: &'a Images,
    scenario: &'a Scenario,
    keep: Keep,
    keep_bytes: u64,
    cancel: &'a Cancel,
    observer: Observer<'a>,
}

impl TrialRunner<'_> {
    /// Runs a trial in its own directory, saves its record, keeps its evidence as requested, and removes the rest.
    /// Returns what could not be removed. `needed` is the disk space that later trials need.
    fn conduct(
        &self,
        plan: &TrialPlan,
        source: &Source,
        directory: &Path,
        needed: u64,
        archive: &mut Archive,
    ) -> Result<Option<Leftover>> {
        archive.keep_room()?;
        std::fs::create_dir(directory).context("cannot create the directory of a trial")?;
        let TrialRunner { images, keep, cancel, observer, .. } = *self;
        let cache = &self.workspace.cache();
        let environment = TrialEnvironment { source, images, directory, cache, keep, cancel, observer };
        let mut concluded = trial::run(plan, self.scenario, &environment)?;
        // A process that a command left in the background must not use the disk space that the record needs.
        kill_marked(directory);
        // Before anything is moved or removed, so that no file that a trial leaves behind can prevent its record.
        archive.add(concluded.record.clone())?;
        let kept = concluded.keep(&Keeper {
            directory: &archive.directory,
            bytes_left: self.room(directory, needed, archive),
        });
        drop(concluded);
        let leftover = removal::remove(directory).err();
        // The names may come from a user's script.
        archive.note(kept, leftover.as_ref().map(|leftover| printable(&leftover.below(directory))))?;
        leftover.iter().for_each(|leftover| observer(Event::Note(leftover.to_string())));
        Ok(leftover)
    }

    /// Bytes that may be kept of the trial in this directory: what remains of the run's limit, but no more than leaves
    /// later trials enough space.
    fn room(&self, directory: &Path, needed: u64, archive: &Archive) -> u64 {
        let kept = archive.results.trials.iter().filter_map(|trial| trial.kept.as_ref());
        let budget = self.keep_bytes.saturating_sub(kept.map(|kept| kept.bytes).sum());
        let free = |path: &Path| storage::free_bytes(path).unwrap_or(0);
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
        let disk = if device(directory) == device(&archive.directory) {
            // Whatever is not kept is removed right afterwards.
            let own = storage::allocated_bytes(directory).unwrap_or(0);
            (free(directory) + own).saturating_sub(needed)
        } else {
            free(&archive.directory)
        };
        budget.min(disk)
    }

    /// Obtains a dataset, and runs the calibration with it.
    fn prepare(&self, trial: &TrialPlan) -> Result<(Source, Calibration)> {
        let (engine, spec) = (trial.deployment.engine, &trial.dataset);
        let launcher = Launcher::new(self.work, self.cancel);
        let preparation = Preparation {
            launcher: &launcher,
            cache: &self.workspace.cache(),
            settings: &self.scenario.subject.settings,
            image: self.images.of(engine),
            observer: self.observer,
        };
        let source = match (&self.scenario.database, engine.files()) {
            (Some(file), Some(files)) => {
                let source = files.adopt(file, spec, trial.level, &preparation)?;
                for remark in &source.remarks {
                    (self.observer)(Event::Note(format!("{}: {remark}", file.display())));
                }
                source
            }
            _ => engine.prepare(spec, &preparation)?,
        };
        (self.observer)(Event::Preparing("calibrating: measuring disk speed".into()));
        let calibration = calibration::measure(&launcher, &source.database, self.work)?;
        self.cancel.check()?;
        Ok((source, calibration))
    }
}
