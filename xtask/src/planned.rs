//! `plan`: what a run would do, without doing it.

use std::path::Path;

use bytesize::ByteSize;
use harness::availability::{Forecast, Needs, Outlook};
use harness::error::{Error, Result};
use harness::plan::{ASSUMED_COPY_BYTES_PER_SECOND, Plan, TrialPlan};
use harness::process::Cancel;
use harness::run;
use harness::workspace::CACHE;
use reports::record::Verdict;

/// What a run of a plan would come to on this machine.
pub struct Prospect<'a> {
    /// What each trial may expect.
    pub trials: Vec<(&'a TrialPlan, Outlook)>,
    /// Why the run would not begin at all.
    pub refused: Option<String>,
}

impl<'a> Prospect<'a> {
    /// Looks at everything that the trials need.
    ///
    /// # Errors
    /// When `directory` cannot be used; [`Error::Interrupted`].
    pub fn of(plan: &'a Plan, directory: &Path, forecast: &mut Forecast<'_>) -> Result<Prospect<'a>> {
        let scenario = &plan.scenario;
        let cached = run::cached_bytes(plan, &directory.join(CACHE));
        // The nearest directory that exists is on the same disk.
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

    /// Trials that would be `unavailable` without being expected to.
    pub fn unavailable(&self) -> impl Iterator<Item = (&'a TrialPlan, &str)> {
        self.trials.iter().filter_map(|(trial, outlook)| match outlook {
            Outlook::Unavailable(missing) if !trial.expected.contains(&Verdict::Unavailable) => {
                Some((*trial, missing.as_str()))
            }
            _ => None,
        })
    }
}

/// Prints the trials of a plan, what keeps them from running here, the disk and the time the plan needs. The exit code
/// is that of a run that lacks something, when a run would.
///
/// # Errors
/// When a run would not begin.
pub fn show(plan: &Plan, directory: &Path, cancel: &Cancel) -> Result<u8> {
    let prospect = Prospect::of(plan, directory, &mut Forecast::new(directory, cancel))?;
    println!("scenario '{}': {}", plan.scenario.name, plan.scenario.description.trim());
    println!("{} trials, seed {}:", plan.trials.len(), plan.scenario.seed);
    for (trial, outlook) in &prospect.trials {
        let outlook = match outlook {
            // The run as a whole lacks something, and says so below.
            _ if prospect.refused.is_some() => String::new(),
            Outlook::Ready => String::new(),
            Outlook::ToGet(how) => format!("; not tried: {how}"),
            Outlook::Unavailable(missing) => format!("; unavailable here: {missing}"),
        };
        println!("  {} (about {:.0} s){outlook}", trial.id, trial.seconds(&plan.scenario).ceil());
    }
    for (engine, dataset, bytes) in plan.datasets() {
        println!(
            "dataset {} for {}, seed {}: {}",
            dataset.profile,
            engine.name(),
            dataset.seed,
            ByteSize(bytes)
        );
    }
    let cached = run::cached_bytes(plan, &directory.join(CACHE));
    println!("disk: {} at the peak, {} of it cached already", ByteSize(plan.disk_bytes()), ByteSize(cached));
    println!(
        "time: about {:.0} min on a disk that copies {}/s; a deadline of {} s ends a backup that takes longer",
        (plan.seconds() / 60.0).ceil(),
        ByteSize(ASSUMED_COPY_BYTES_PER_SECOND as u64).display().si(),
        plan.scenario.trial.deadline_seconds
    );
    if let Some(cause) = prospect.refused {
        return Err(Error::Environment(cause));
    }
    match prospect.unavailable().count() {
        0 => Ok(crate::exit::SUCCESS),
        lacking => {
            let of = plan.trials.len();
            println!("unavailable here: {lacking} of {of} trials (exit code {})", crate::exit::ENVIRONMENT);
            Ok(crate::exit::ENVIRONMENT)
        }
    }
}
