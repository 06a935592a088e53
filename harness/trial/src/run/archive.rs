//! The results of a run, which are replaced as a whole after each step, and the link to the newest results.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use jiff::Timestamp;
use machine::error::{Error, Result};
use machine::measure::{host, storage};
use machine::workspace::{STAGED, Workspace};
use reports::record::{Kept, Results, Run, SCHEMA, Trial};
use reports::render;

use super::conditions::{self, Conditions};
use super::request::{LATEST, RESULTS, Request};
use super::reserve::Reserve;
use crate::plan::{Plan, TrialPlan};

/// The results of a run and their directory.
pub(super) struct Archive {
    pub(super) directory: PathBuf,
    pub(super) results: Results,
    /// Disk space for the record that the next trial adds.
    reserve: Option<Reserve>,
}

/// Upper limit for the record of a one-hour trial and its part of the reports.
const RECORD_BYTES_MAX: u64 = 16 << 20;

impl Archive {
    pub(super) fn open(request: &Request, workspace: &Workspace) -> Result<Archive> {
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
                "cannot write results to {}: {error}; choose another directory with --out",
                directory.display()
            ))
        };
        std::fs::create_dir_all(&directory).map_err(refused)?;
        tempfile::tempfile_in(&directory).map_err(refused)?;
        if directory.join(RESULTS).exists() {
            return Err(Error::Input(format!(
                "{} already contains results: choose another --out, or continue that run with --resume",
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
            conditions: conditions::declared(&plan.scenario)?,
            shard: plan.shard.clone(),
            machines: Vec::new(),
        };
        let results = Results { schema: SCHEMA.into(), run, trials: Vec::new() };
        let mut archive = Archive { directory, results, reserve: None };
        archive.save()?;
        if request.is_newest {
            archive.link(workspace)?;
        }
        Ok(archive)
    }

    fn resume(request: &Request, workspace: &Workspace) -> Result<Archive> {
        let directory = request.out.clone().unwrap_or_else(|| workspace.root().join(LATEST));
        let directory = directory
            .canonicalize()
            .map_err(|error| Error::Input(format!("no run to resume in {}: {error}", directory.display())))?;
        let mut results =
            Results::load(&directory.join(RESULTS)).map_err(|error| Error::Input(error.to_string()))?;
        let (plan, run) = (&request.plan, &results.run);
        let same = run.scenario == plan.scenario.name
            && run.seed == plan.scenario.seed
            && run.shard == plan.shard
            && results.trials.iter().all(|trial| plan.trials.iter().any(|planned| planned.id == trial.id));
        if !same {
            return Err(Error::Input(format!(
                "{} contains a run of another plan (scenario '{}', seed {}): resume with the same scenario and flags, \
                 as in '{}'",
                directory.display(),
                run.scenario,
                run.seed,
                run.command
            )));
        }
        if run.conditions.is_empty() {
            return Err(Error::Input(format!(
                "{} contains a run of an older version, which did not record its conditions: start a new run without \
                 --resume",
                directory.display()
            )));
        }
        let mut differences =
            conditions::declared_differences(&run.conditions, &conditions::declared(&plan.scenario)?);
        differences.extend(conditions::plan_differences(&results, plan));
        differences.extend(reports::machine::differences(&run.host, &host::describe(workspace.root())));
        conditions::refuse(&directory, &results, &differences)?;
        results.run.planned_trials = plan.trials.len() as u32;
        results.run.command.clone_from(&request.command);
        // Thresholds are applied to the measurements afterwards; they do not influence them.
        for trial in &mut results.trials {
            let planned = plan.trials.iter().find(|planned| planned.id == trial.id);
            trial.thresholds = planned.map(|planned| planned.thresholds.clone()).unwrap_or_default();
        }
        Ok(Archive { directory, results, reserve: None })
    }

    /// Records the conditions that the remaining trials find on this machine.
    ///
    /// # Errors
    /// [`Error::Input`] when earlier trials of the run had other conditions.
    pub(super) fn enter_found(&mut self, found: Conditions, differences: Vec<String>) -> Result<()> {
        let mut all = conditions::found_differences(&self.results.run.conditions, &found);
        all.extend(differences);
        conditions::refuse(&self.directory, &self.results, &all)?;
        self.results.run.conditions.extend(found);
        self.save()
    }

    /// Reserves the disk space that saving after the next trial needs: a second copy of the current files, and one more
    /// record.
    pub(super) fn keep_room(&mut self) -> Result<()> {
        let saved = std::iter::once(RESULTS).chain(render::FILES);
        let bytes =
            saved.map(|name| storage::bytes(&self.directory.join(name))).sum::<u64>() + RECORD_BYTES_MAX;
        let place = || format!("cannot reserve disk space for results in {}", self.directory.display());
        self.reserve = Some(Reserve::take(&self.directory, bytes).with_context(place)?);
        Ok(())
    }

    /// The planned trials without a record.
    pub(super) fn left<'a>(&self, plan: &'a Plan) -> Vec<&'a TrialPlan> {
        let done = |planned: &&TrialPlan| self.results.trials.iter().any(|trial| trial.id == planned.id);
        plan.trials.iter().filter(|planned| !done(planned)).collect()
    }

    pub(super) fn add(&mut self, trial: Trial) -> Result<()> {
        let copy_seconds = trial.backup.as_ref().and_then(|backup| backup.copy_seconds);
        let run = &mut self.results.run;
        // A copy on another file system says nothing about the speed of the disk.
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

    /// Records what was kept of the trial that was added last, and what could not be removed.
    pub(super) fn note(&mut self, kept: Option<Kept>, leftover: Option<String>) -> Result<()> {
        if kept.is_none() && leftover.is_none() {
            return Ok(());
        }
        let trial = self.results.trials.last_mut().expect("a trial was added");
        (trial.kept, trial.leftover) = (kept, leftover);
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.reserve = None;
        let json = serde_json::to_vec_pretty(&self.results).context("results are plain data")?;
        self.write(RESULTS, &json)?;
        let report = render::files(&self.results);
        report.iter().try_for_each(|file| self.write(file.name, file.content.as_bytes()))?;
        render::remove_outdated(&self.directory, &report)
            .with_context(|| format!("cannot remove an outdated plot in {}", self.directory.display()))?;
        Ok(())
    }

    /// Replaces a file atomically: after a kill, and for any reader, it is either the old file or the new one.
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

    /// Sets the link `latest` to this directory.
    fn link(&self, workspace: &Workspace) -> Result<()> {
        let link = workspace.root().join(LATEST);
        let target = self.directory.canonicalize().context("cannot resolve the results directory")?;
        let target = target.strip_prefix(workspace.root()).unwrap_or(&target);
        let staged = workspace.root().join(format!("{STAGED}{LATEST}-{}", std::process::id()));
        let make = || -> std::io::Result<()> {
            std::os::unix::fs::symlink(target, &staged)?;
            std::fs::rename(&staged, &link)
        };
        make().with_context(|| format!("cannot link {} to the results", link.display()))?;
        Ok(())
    }
}
