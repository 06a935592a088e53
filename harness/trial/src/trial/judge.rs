//! Judges a trial again from its kept evidence, with the current version of the verifier. It works on a copy, so that
//! the evidence is not changed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use engines::configuration;
use engines::database::{Database, Verify};
use machine::error::{Error, Result};
use machine::measure::{calibration, storage};
use machine::process::{Account, Launcher};
use model::dataset::original_torrents;
use model::ledger::Ledger;
use model::verify::{self, Report};
use reports::record::{Trial, Verdict, Verification};

use super::damage::{Damage, Victim};
use super::evidence::{Case, Held, LEDGER};
use super::examine;

/// The new verdict on a trial.
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for it.
    pub reason: String,
    /// The checks of the restored database; `None` when the verifier failed.
    pub verification: Option<Verification>,
}

/// Judges a trial again from its evidence below `run`, the directory of its results. Copies are made in the work
/// directory of the launcher, which must be empty. Returns the judgement, or why the trial cannot be judged again.
///
/// # Errors
/// [`Error::Input`] when the evidence cannot be read; [`Error::Environment`] when a copy of it does not fit on the disk;
/// [`Error::Interrupted`].
pub fn judge(trial: &Trial, run: &Path, launcher: &Launcher) -> Result<Result<Judgement, String>> {
    judge_after(None, trial, run, launcher)
}

/// Like [`judge`], but damages the copy first, at a place that follows from a seed.
///
/// # Errors
/// Those of [`judge`], and when the damage is impossible.
pub fn judge_damaged(
    (damage, seed): (&Damage, u64),
    trial: &Trial,
    run: &Path,
    launcher: &Launcher,
) -> Result<Result<Judgement, String>> {
    judge_after(Some((damage, seed)), trial, run, launcher)
}

fn judge_after(
    damage: Option<(&Damage, u64)>,
    trial: &Trial,
    run: &Path,
    launcher: &Launcher,
) -> Result<Result<Judgement, String>> {
    let Some(kept) = &trial.kept else { return Ok(Err("its evidence was not kept".into())) };
    let Some(path) = &kept.path else {
        return Ok(Err(format!("its evidence was not kept: {}", kept.left_out.join("; "))));
    };
    let directory = run.join(path);
    if !directory.exists() {
        return Ok(Err(format!("its evidence is no longer in {}", directory.display())));
    }
    let case = Case::load(&directory, &trial.id)?;
    let Some(restored) = &case.restored else {
        return Ok(Err(format!("there was nothing to verify: {}", trial.reason)));
    };
    let held = std::iter::once(restored).chain(&case.live);
    let mut needed = held.map(|held| held.place.as_str()).chain([LEDGER]);
    if let Some(missing) = needed.find(|part| !directory.join(part).exists()) {
        return Ok(Err(format!("'{missing}' was not kept: {}", kept.left_out.join("; "))));
    }
    let bench = Bench { case: &case, directory: &directory, launcher, damage };
    let last = bench.verify(restored)?;
    let live = case.live.iter().map(|held| bench.verify(held)).collect::<Result<_>>()?;
    bench.conclude(last, live).map(Ok)
}

/// Where a trial is judged again.
struct Bench<'a> {
    case: &'a Case,
    directory: &'a Path,
    launcher: &'a Launcher,
    /// What is damaged before the verification, with a seed.
    damage: Option<(&'a Damage, u64)>,
}

impl Bench<'_> {
    /// The verifier's report on a copy of a restored database, or the error with which the verifier failed.
    fn verify(&self, held: &Held) -> Result<Result<Report, String>> {
        let copy = self.copy(&held.place)?;
        let engine = self.case.engine;
        self.damaged(held, |damage, victim| damage.change_file(victim, &engine.data(&copy)))?;
        let kept = self.case.server.as_ref();
        let mut database =
            engine.reopen(self.launcher, engine.data(&copy), kept).map_err(|error| match error {
                Error::Input(cause) => {
                    Error::Input(format!("the evidence in {} {cause}", self.directory.display()))
                }
                other => other,
            })?;
        let started = database.start();
        match (started, database.ended()) {
            (Err(Error::Interrupted), _) => Err(Error::Interrupted),
            // As in the trial itself: an engine that does not run on the restored data has found it damaged.
            (_, Some(ended)) => Ok(Ok(verify::refused_by_the_engine(&ended))),
            (Err(error), None) => Err(error),
            (Ok(()), None) => {
                let access = database.access();
                self.damaged(held, |damage, victim| damage.execute(victim, access.as_ref()))?;
                let found = self.ask(held, Database { engine, access: database.access() })?;
                Ok(database.report_or_crash(found))
            }
        }
    }

    /// Lets `change` damage the copy, if that was asked for.
    fn damaged(
        &self,
        held: &Held,
        change: impl FnOnce(&Damage, &mut Victim<'_>) -> anyhow::Result<()>,
    ) -> Result<()> {
        let Some((damage, seed)) = self.damage else { return Ok(()) };
        let request = held.request((), &self.directory.join(LEDGER))?;
        let original = original_torrents(&self.case.dataset)?;
        let ledger = Ledger::open(&request.ledger, request.model.writers)
            .with_context(|| format!("cannot read the ledger {}", request.ledger.display()))?;
        let kept_ns = request.keep_acknowledged_before_ns.unwrap_or(0);
        let mut victim = Victim::new(&request.model, original.as_ref(), &ledger, kept_ns, seed);
        Ok(change(damage, &mut victim)?)
    }

    fn ask(&self, held: &Held, database: Database) -> Result<Result<Report, String>> {
        let request = held.request(database, &self.directory.join(LEDGER))?;
        let job = Verify { request, dataset: self.case.dataset.clone() };
        match self.launcher.work(Account::Harness, &job, &mut |_| {}) {
            Ok(report) => Ok(Ok(report)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn copy(&self, place: &str) -> Result<PathBuf> {
        let (from, to) = (self.directory.join(place), self.launcher.work_directory().join(place));
        let unreadable =
            |error: std::io::Error| Error::Environment(format!("cannot copy {}: {error}", from.display()));
        let needed = storage::allocated_bytes(&from).map_err(unreadable)?;
        let free = storage::free_bytes(self.launcher.work_directory()).map_err(unreadable)?;
        if free < needed {
            return Err(Error::Environment(format!(
                "too little disk space to judge a copy of {}: it needs {}, but {} are free in {}; free some space, or \
                 choose another disk with --dir",
                from.display(),
                ByteSize(needed),
                ByteSize(free),
                self.launcher.work_directory().display()
            )));
        }
        calibration::duplicate(self.launcher, &from, &to)?;
        Ok(to)
    }

    /// The verdict on these reports and the other evidence of the trial.
    fn conclude(
        &self,
        mut last: Result<Report, String>,
        live: Vec<Result<Report, String>>,
    ) -> Result<Judgement> {
        if let (Some(before), Ok(report)) = (&self.case.configuration, &mut last) {
            let after = self.launcher.work_directory().join("restored").join(configuration::DIRECTORY);
            examine::hold_configuration(before, &after, report)?;
        }
        let observed = &self.case.observed;
        let served = observed.served(last.as_ref().ok());
        let (verdict, reason) = observed.evidence(served.as_ref(), Some(&last), &live).verdict();
        let place = format!("{}/", self.launcher.work_directory().display());
        Ok(Judgement {
            verdict,
            reason: reason.replace(&place, ""),
            verification: last.ok().map(|report| report.verification),
        })
    }
}
