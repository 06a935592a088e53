//! `plan`: shows the trials of a run, and what it would need, without running it.

use std::path::Path;

use harness::availability::{Forecast, Needs, Outlook};
use harness::fault::NONE;
use harness::plan::{ASSUMED_COPY_BYTES_PER_SECOND, Plan, TrialPlan, Unsuited};
use harness::{run, stages};
use machine::error::{Error, Result};
use machine::process::Cancel;
use machine::workspace::CACHE;
use reports::record::Verdict;
use reports::render::number;
use reports::render::table::{Cell, Column, Rank, Table};

use crate::exit;
use crate::format::Format;

/// What a run of a plan can do on this machine.
pub struct Prospect<'a> {
    /// Each trial, and whether it can run.
    pub trials: Vec<(&'a TrialPlan, Outlook)>,
    /// Why the run as a whole cannot begin.
    pub refused: Option<String>,
}

impl<'a> Prospect<'a> {
    /// Checks everything that the trials need.
    ///
    /// # Errors
    /// When `directory` cannot be used; [`Error::Interrupted`].
    pub fn of(plan: &'a Plan, directory: &Path, forecast: &mut Forecast<'_>) -> Result<Prospect<'a>> {
        let scenario = &plan.scenario;
        let cached = run::cached_bytes(plan, &directory.join(CACHE));
        // The nearest existing parent directory is on the same disk.
        let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        let mut begins = plan.check_disk(existing, cached);
        let mut trials = Vec::new();
        for trial in &plan.trials {
            let needs = Needs::of_trial(trial, scenario);
            begins = begins.and_then(|()| forecast.subject(&needs));
            trials.push((trial, forecast.of(&needs)?));
        }
        match begins {
            Ok(()) => Ok(Prospect { trials, refused: None }),
            Err(Error::Environment(cause)) => Ok(Prospect { trials, refused: Some(cause) }),
            Err(error) => Err(error),
        }
    }

    /// Trials that would be `unavailable` although the scenario does not expect it.
    pub fn unavailable(&self) -> impl Iterator<Item = (&'a TrialPlan, &str)> {
        self.trials.iter().filter_map(|(trial, outlook)| match outlook {
            Outlook::Unavailable(missing) if !trial.expected.contains(&Verdict::Unavailable) => {
                Some((*trial, missing.as_str()))
            }
            _ => None,
        })
    }
}

/// Prints the trials of a plan, why trials cannot run on this machine, and the disk space and time that the plan needs.
/// When a run would end because something is missing, the exit code is the same.
///
/// # Errors
/// When a run could not begin.
pub fn show(plan: &Plan, directory: &Path, format: Format, cancel: &Cancel) -> Result<u8> {
    let prospect = Prospect::of(plan, directory, &mut Forecast::new(directory, cancel))?;
    match format {
        Format::Table => show_all(plan, &prospect, directory),
        for_programs => println!("{}", for_programs.of(&table(plan, &prospect))),
    }
    let lacking = prospect.unavailable().count();
    if let Some(cause) = prospect.refused {
        return Err(Error::Environment(cause));
    }
    Ok(if lacking == 0 { exit::SUCCESS } else { exit::ENVIRONMENT })
}

/// Prints everything that a person wants to know before a run. Ids are never truncated, because users select trials by
/// them.
fn show_all(plan: &Plan, prospect: &Prospect<'_>, directory: &Path) {
    println!("scenario '{}': {}", plan.scenario.name, plan.scenario.description.trim());
    println!("{}, seed {}:", counted(plan.trials.len()), plan.scenario.seed);
    for (trial, outlook) in &prospect.trials {
        let outlook = match outlook {
            // The run as a whole cannot begin; the error at the end says why.
            _ if prospect.refused.is_some() => String::new(),
            Outlook::Ready => String::new(),
            Outlook::ToGet(how) => format!("; not tried: {how}"),
            Outlook::Unavailable(missing) => format!("; unavailable here: {missing}"),
        };
        println!("  {} (about {}){outlook}", trial.id, number::duration(trial.seconds(&plan.scenario)));
    }
    for Unsuited { trials, what, reason } in &plan.unsuited {
        println!("  not planned: {trials} with {what}: {reason}");
    }
    for (engine, dataset, bytes) in plan.datasets() {
        let bytes = number::bytes(bytes as f64);
        println!("dataset {} for {}, seed {}: {bytes}", dataset.profile, engine.name(), dataset.seed);
    }
    let cached = run::cached_bytes(plan, &directory.join(CACHE));
    let (needed, cached) = (number::bytes(plan.disk_bytes() as f64), number::bytes(cached as f64));
    println!("disk: {needed} at the peak, of which {cached} are cached already");
    println!(
        "time: about {} on a disk that copies {}/s; a backup or restore is stopped after {}",
        number::duration(plan.seconds()),
        number::chosen_bytes(ASSUMED_COPY_BYTES_PER_SECOND),
        number::duration(plan.scenario.trial.deadline_seconds)
    );
    let lacking = prospect.unavailable().count();
    if prospect.refused.is_none() && lacking > 0 {
        let of = counted(plan.trials.len());
        println!("unavailable here: {lacking} of {of} (exit code {})", exit::ENVIRONMENT);
    }
}

fn counted(trials: usize) -> String {
    format!("{trials} {}", if trials == 1 { "trial" } else { "trials" })
}

/// The trials as rows of a table.
fn table(plan: &Plan, prospect: &Prospect<'_>) -> Table {
    let text = |label, key| Column::text(label, key, Rank::Always);
    let number = |label, key| Column::number(label, key, Rank::Always);
    let mut table = Table::new(vec![
        text("Trial", "id"),
        text("Strategy", "strategy"),
        text("Variant", "variant"),
        text("Engine", "engine"),
        text("Application", "application"),
        number("Size", "target_bytes"),
        number("Writes", "writes_per_second"),
        text("Stages", "stages"),
        text("Fault", "fault"),
        number("Repetition", "repetition"),
        number("Time", "estimated_seconds"),
        text("Here", "outlook"),
        text("Why", "outlook_reason"),
    ]);
    for (trial, outlook) in &prospect.trials {
        let (word, reason) = match outlook {
            Outlook::Ready => ("ready", ""),
            Outlook::ToGet(how) => ("not tried", how.as_str()),
            Outlook::Unavailable(missing) => ("unavailable", missing.as_str()),
        };
        table.push(vec![
            trial.id.as_str().into(),
            trial.strategy.name().into(),
            trial.variant.as_str().into(),
            trial.deployment.engine.name().into(),
            trial.deployment.app.name().into(),
            Cell::measured(Some(trial.dataset.target_bytes as f64), number::chosen_bytes),
            Cell::measured(trial.load.rate.writes_per_second(), number::rate),
            trial.stages.as_ref().map_or(stages::NONE, |stages| &stages.label).into(),
            trial.fault.as_ref().map_or(NONE, |fault| fault.label()).into(),
            Cell::count(trial.repetition.into()),
            Cell::measured(Some(trial.seconds(&plan.scenario)), number::duration),
            word.into(),
            reason.into(),
        ]);
    }
    table
}
