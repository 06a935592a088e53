//! `prove honest`: how often correct strategies are blamed.

use clap::Args;
use harness::plan::Plan;
use harness::scenario::{Overrides, Scenario};
use machine::error::Result;
use machine::process::Cancel;
use reports::compare::worst_verdict;
use reports::printable;
use reports::record::{Results, Trial, Verdict};
use reports::render::table::Table;

use super::measure::{Output, measure};
use crate::arguments::version::version;
use crate::exit;

#[derive(Args)]
pub struct ProveHonest {
    /// A scenario of correct strategies: name or file
    #[arg(default_value = "honest")]
    scenario: String,
    /// Number of trials at least: each trial of the scenario is repeated, each time with other moments and writes
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// Size of the live database [default: those of the scenario]
    #[arg(long)]
    size: Option<bytesize::ByteSize>,
    /// Random seed [default: that of the scenario]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    output: Output,
}

/// Runs the trials, and counts their verdicts. The exit code is 1 when a correct strategy was blamed, and 3 when a trial
/// was inconclusive.
///
/// # Errors
/// Those of a run.
pub fn prove(arguments: &ProveHonest, cancel: &Cancel) -> Result<u8> {
    let results = measure(plan(arguments)?, &arguments.output.place, "prove honest", cancel)?;
    arguments.output.publish(&text(&results))?;
    let blamed = results.trials.iter().any(is_blamed);
    let is_proven = results.trials.iter().all(|trial| trial.verdict == Verdict::Restorable);
    Ok(match (blamed, is_proven) {
        (true, _) => exit::FELL_SHORT,
        (false, true) => exit::SUCCESS,
        (false, false) => exit::INCONCLUSIVE,
    })
}

/// As many repetitions of the scenario as give the number of trials. Controls, which are not correct, are left out.
fn plan(arguments: &ProveHonest) -> Result<Plan> {
    let plan = |repetitions| {
        let overrides = Overrides {
            size: arguments.size,
            seed: arguments.seed,
            repetitions: Some(repetitions),
            ..Overrides::default()
        };
        let scenario = Scenario::load(&arguments.scenario, &arguments.output.place.directory())?;
        let mut plan = Plan::new(scenario, &overrides)?;
        plan.trials.retain(|trial| !trial.strategy.promise().is_none());
        Ok(plan)
    };
    let once: Plan = plan(1)?;
    plan(arguments.trials.div_ceil(once.trials.len().max(1) as u32))
}

/// True when a verdict holds something against the strategy.
fn is_blamed(trial: &Trial) -> bool {
    !matches!(trial.verdict, Verdict::Restorable | Verdict::Unavailable | Verdict::Unverified)
}

fn text(results: &Results) -> String {
    let (run, all) = (&results.run, &results.trials);
    let blamed = all.iter().filter(|trial| is_blamed(trial)).count();
    let mut names: Vec<String> = all.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    let row = |one: &String| {
        let of: Vec<&Trial> = all.iter().filter(|trial| name(trial) == *one).collect();
        let count = |wanted: fn(&Trial) -> bool| of.iter().filter(|trial| wanted(trial)).count().to_string();
        let challenged = |trial: &Trial| {
            let challenge = trial.backup.as_ref().and_then(|backup| backup.challenge.as_ref());
            challenge.is_some_and(|challenge| challenge.challenged)
        };
        let worst = worst_verdict(of.iter().copied()).map_or(String::new(), |worst| worst.to_string());
        vec![
            one.clone(),
            of.len().to_string(),
            count(|trial| trial.verdict == Verdict::Restorable),
            count(challenged),
            count(|trial| matches!(trial.verdict, Verdict::Unverified | Verdict::Unavailable)),
            count(is_blamed),
            worst,
        ]
    };
    let header =
        ["Strategy", "Trials", "Restorable", "Challenged", "Inconclusive", "Blamed", "Worst verdict"];
    let table = Table::of_texts(header, names.iter().map(row).collect());
    let reasons: Vec<String> = all
        .iter()
        .filter(|trial| trial.verdict != Verdict::Restorable)
        .map(|trial| format!("- {}: {}: {}\n", printable(&trial.id), trial.verdict, printable(&trial.reason)))
        .collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!("\n{}", reasons.concat()) };
    format!(
        "# Correct strategies that were blamed\n\n{blamed} of {} trials of the scenario '{}' blame a strategy that is \
         correct (version {}, seed {}, {}, {} logical processors).\n\n{}\n{reasons}",
        all.len(),
        printable(&run.scenario),
        version(),
        run.seed,
        printable(&run.host.cpu),
        run.host.cpus,
        table.markdown()
    )
}

/// Strategy, settings and subject, which the id begins with.
fn name(trial: &Trial) -> String {
    let mut parts: Vec<&str> = trial.id.split('/').collect();
    parts.truncate(parts.len().saturating_sub(1));
    parts.join("/")
}
