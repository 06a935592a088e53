//! `judge`: verifies kept evidence again, so that a verdict can be checked without a new run.

use harness::trial::judge::{self, Judgement};
use machine::error::{Error, Result};
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::compare::Outcome;
use reports::printable;
use reports::record::{Check, Results, Trial, Verdict, Verification};

use crate::arguments::Judge;
use crate::{exit, results_file};

/// Prints the recorded and the new verdicts. The exit code is that of a run with the new verdicts; when a trial cannot
/// be judged again, its recorded verdict counts.
///
/// # Errors
/// When the results or the evidence cannot be read, or no selected trial has evidence.
pub fn judge(arguments: &Judge, cancel: &Cancel) -> Result<u8> {
    let file = results_file::given_or_newest(arguments.results.as_ref(), &arguments.place);
    let results = results_file::load(&file)?;
    let trials = selected(&results, arguments.trial.as_deref()).ok_or_else(|| {
        Error::Input(nothing_to_judge(&file.display().to_string(), arguments.trial.as_deref()))
    })?;
    let file = file.canonicalize().map_err(|error| Error::Input(format!("{}: {error}", file.display())))?;
    let run = file.parent().expect("a file lies in a directory");
    let workspace = Workspace::open(&arguments.place.directory())?;
    workspace.sweep()?;
    let mut outcome = Outcome::AsPromised;
    for trial in trials {
        // A new directory for each trial, so that at most one copy is on the disk.
        let work = workspace.work_directory("judge")?;
        let judged = judge::judge(trial, run, &Launcher::new(work.path(), cancel))?;
        let now = show(trial, judged.as_ref());
        outcome = outcome.max(Outcome::of_trial(&Trial { verdict: now, ..trial.clone() }));
    }
    Ok(exit::of_outcome(outcome))
}

/// The trials with this text in their id, or all trials with kept evidence; `None` when there is none.
fn selected<'a>(results: &'a Results, part: Option<&str>) -> Option<Vec<&'a Trial>> {
    let is_selected = |trial: &&Trial| match part {
        Some(part) => trial.id.contains(part),
        None => trial.kept.is_some(),
    };
    let trials: Vec<&Trial> = results.trials.iter().filter(is_selected).collect();
    (!trials.is_empty()).then_some(trials)
}

fn nothing_to_judge(file: &str, part: Option<&str>) -> String {
    match part {
        Some(part) => format!("{file} has no trial with '{part}' in its id"),
        None => format!(
            "no evidence was kept for the trials in {file}: 'run' keeps evidence of trials that did not end as \
             promised or expected, and of all trials with --keep all"
        ),
    }
}

/// Prints the recorded and the new verdict of a trial. Returns the verdict that counts.
fn show(trial: &Trial, judged: Result<&Judgement, &String>) -> Verdict {
    println!("{}", trial.id);
    println!("  then  {}: {}", trial.verdict, trial.reason);
    let judgement = match judged {
        Ok(judgement) => judgement,
        Err(why) => {
            println!("  now   cannot be judged again: {}", printable(why));
            return trial.verdict;
        }
    };
    println!("  now   {}: {}", judgement.verdict, printable(&judgement.reason));
    if let Some(verification) = &judgement.verification {
        println!("  checks: {}", checks(verification));
        verification.findings.iter().for_each(|finding| println!("  finding: {}", printable(finding)));
    }
    if judgement.verdict == trial.verdict {
        println!("  the verdict is the same");
    } else {
        println!("  THE VERDICT DIFFERS: it was {} and is now {}", trial.verdict, judgement.verdict);
    }
    judgement.verdict
}

fn checks(verification: &Verification) -> String {
    let checks = [
        ("integrity", verification.integrity),
        ("prefix", verification.prefix),
        ("order", verification.order),
        ("transactions", verification.transactions),
        ("content", verification.content),
        ("loss", verification.loss),
        ("configuration", verification.configuration),
    ];
    let word = |(name, check): (&str, Option<Check>)| match check {
        Some(Check::Pass) => Some(format!("{name} passed")),
        Some(Check::Fail) => Some(format!("{name} FAILED")),
        // Most strategies do not back up configuration files, and controls promise nothing.
        None if matches!(name, "loss" | "configuration") => None,
        None => Some(format!("{name} could not be completed")),
    };
    checks.into_iter().filter_map(word).collect::<Vec<_>>().join(", ")
}
