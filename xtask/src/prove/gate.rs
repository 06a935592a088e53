//! `prove gate`: how often the gate is wrong.

use std::path::PathBuf;

use clap::Args;
use harness::plan::{Plan, size_label};
use harness::scenario::{Overrides, Pair, Scenario};
use machine::error::{Error, Result};
use machine::process::Cancel;
use reports::gate::error_rates::{self, Rates};
use reports::gate::{self, Comparison, Settings};
use reports::printable;
use reports::record::Results;

use crate::arguments::version::version;
use crate::{exit, results_file};

use super::measure::{Output, measure};

#[derive(Args)]
pub struct ProveGate {
    /// Resample trials of this run: a results.json or its directory, with three repetitions or more (repeatable)
    #[arg(long, value_name = "RESULTS")]
    recorded: Vec<PathBuf>,
    /// Number of comparisons for each slowdown, resampled from the recorded runs
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    comparisons: u32,
    /// Number of comparisons for each slowdown, with real trials of the scenario 'gate'
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    live: u32,
    /// Only this slowdown in percent, for live trials: 0, 10, 25 or 50 (repeatable) [default: all]
    #[arg(long, value_name = "PERCENT")]
    slower: Vec<u32>,
    /// Number of pairs in each comparison
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// Size of the live database [default: that of the scenario 'gate']
    #[arg(long)]
    size: Option<bytesize::ByteSize>,
    /// Random seed of the resampling and of the live trials
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

/// Measures the error rates, prints them, and writes them.
///
/// # Errors
/// When there is nothing to measure, a live run fails, or the result cannot be written.
pub fn prove(arguments: &ProveGate, cancel: &Cancel) -> Result<u8> {
    let mut text = introduction(arguments);
    if arguments.recorded.is_empty() && arguments.live == 0 {
        return Err(Error::Input("nothing to measure: use --recorded RESULTS, --live COUNT, or both".into()));
    }
    let runs: Vec<Results> =
        arguments.recorded.iter().map(|path| results_file::load(path)).collect::<Result<_>>()?;
    if !runs.is_empty() {
        text += &recorded(arguments, &runs)?;
    }
    if arguments.live > 0 {
        text += &live(arguments, cancel)?;
    }
    arguments.output.publish(&text)?;
    Ok(exit::SUCCESS)
}

fn introduction(arguments: &ProveGate) -> String {
    let settings = Settings::default();
    format!(
        "# Error rates of the gate\n\n\
         How often the gate is wrong (version {}). An A/A comparison compares a strategy with itself, so each reported \
         regression is a false alarm. The other rows say how often the gate finds a backup that was slowed down. Each \
         comparison has {} pairs; the margin is {:.0} %, the significance level {:.0} %. The method is in \
         [gate.md](gate.md).\n",
        version(),
        arguments.pairs,
        settings.margin * 100.0,
        settings.level * 100.0
    )
}

fn recorded(arguments: &ProveGate, runs: &[Results]) -> Result<String> {
    let (pairs, comparisons) = (arguments.pairs, arguments.comparisons);
    let rates = error_rates::recorded(runs, pairs, comparisons, arguments.seed, &Settings::default());
    let rates = rates.ok_or_else(|| {
        let names: Vec<String> = arguments.recorded.iter().map(|path| path.display().to_string()).collect();
        Error::Input(format!(
            "{}: no strategy has three restorable repetitions; measure again with --repetitions 6",
            names.join(", ")
        ))
    })?;
    let names: Vec<String> = runs.iter().map(|run| printable(&run.run.id)).collect();
    Ok(format!(
        "\n## Recorded runs\n\nResampled with replacement from {}, seed {}.\n\n{}",
        names.join(", "),
        arguments.seed,
        error_rates::markdown(&rates)
    ))
}

/// Runs the scenario `gate` repeatedly, each time with a different seed.
fn live(arguments: &ProveGate, cancel: &Cancel) -> Result<String> {
    let mut counted: Vec<(Pair, Rates)> = Vec::new();
    let mut machine = String::new();
    for round in 0..arguments.live {
        let plan = || live_plan(arguments, arguments.seed.wrapping_add(u64::from(round)));
        let pairs = plan()?.scenario.pairs;
        if counted.is_empty() {
            counted.extend(pairs.into_iter().map(|pair| {
                let rates = Rates::new(slowdown(&pair));
                (pair, rates)
            }));
        }
        eprintln!("round {} of {}", round + 1, arguments.live);
        let results = measure(plan()?, &arguments.output.place, COMMAND, cancel)?;
        let host = &results.run.host;
        machine = format!("{}, {} logical processors, kernel {}", host.cpu, host.cpus, host.kernel);
        for (pair, rates) in &mut counted {
            let Some(first) = compare_pair(&results, pair, None) else { continue };
            let mut confirmed = first.clone();
            if first.flagged().next().is_some() {
                let mut again = plan()?;
                let flagged: Vec<&String> = first.flagged().flat_map(|row| &row.trials).collect();
                again.trials.retain(|trial| flagged.contains(&&trial.id));
                let again = measure(again, &arguments.output.place, COMMAND, cancel)?;
                let second = compare_pair(&again, pair, Some(&first)).expect("the pair was run again");
                confirmed = confirmed.confirmed_by(&second);
            }
            let subject = first.rows.first().map(|row| row.subject.clone()).unwrap_or_default();
            rates.count(&first, Some(&confirmed), &subject);
        }
    }
    let rates: Vec<Rates> = counted.into_iter().map(|(_, rates)| rates).collect();
    Ok(format!(
        "\n## Live runs\n\nReal trials of `scenarios/gate.toml`{}, seeds from {}, on {}.\n\n{}",
        arguments.size.map_or_else(String::new, |size| format!(" at {}", size_label(size))),
        arguments.seed,
        printable(&machine),
        error_rates::markdown(&rates)
    ))
}

/// The scenario with pairs of one script, of which the second is slowed down or not.
const SCENARIO: &str = "gate";
const COMMAND: &str = "prove gate";

fn live_plan(arguments: &ProveGate, seed: u64) -> Result<Plan> {
    let overrides = Overrides {
        size: arguments.size,
        seed: Some(seed),
        repetitions: Some(arguments.pairs),
        ..Overrides::default()
    };
    let mut plan = Plan::new(Scenario::load(SCENARIO, &arguments.output.place.directory())?, &overrides)?;
    let is_meant = |pair: &Pair| {
        let percent = (slowdown(pair) * 100.0).round() as u32;
        arguments.slower.is_empty() || arguments.slower.contains(&percent)
    };
    plan.scenario.pairs.retain(is_meant);
    let pairs = plan.scenario.pairs.clone();
    let is_of = |id: &str, variant: &str| {
        pairs.iter().any(|pair| [&pair.a, &pair.b].iter().any(|name| gate::is_variant(name, id, variant)))
    };
    plan.trials.retain(|trial| is_of(&trial.id, &trial.variant));
    if plan.trials.is_empty() {
        return Err(Error::Input("--slower must be 0, 10, 25 or 50, as in the scenario 'gate'".into()));
    }
    Ok(plan)
}

/// The slowdown of the second of a pair, read from its name: `slower by 25 %`.
fn slowdown(pair: &Pair) -> f64 {
    let percent =
        pair.b.strip_prefix("slower by ").and_then(|rest| rest.strip_suffix(" %")?.parse::<f64>().ok());
    percent.map_or(0.0, |percent| percent / 100.0)
}

/// Compares one pair of a run as if it were the only pair of the scenario, so that no correction for the metrics of
/// other pairs applies.
fn compare_pair(results: &Results, pair: &Pair, flagged: Option<&Comparison>) -> Option<Comparison> {
    let mut one = results.clone();
    let value = serde_json::json!([{ "a": pair.a, "b": pair.b }]);
    one.run.conditions.insert("pairs".into(), value);
    match flagged {
        None => gate::compare_pairs(&one, &Settings::default()),
        Some(first) => gate::compare_flagged_pairs(first, &one, &Settings::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::place::default_directory;

    #[test]
    fn the_scenario_has_a_pair_for_each_slowdown() {
        let scenario = Scenario::load(SCENARIO, &default_directory());
        let plan = scenario.and_then(|scenario| Plan::new(scenario, &Overrides::default()));
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        let slowdowns: Vec<f64> = plan.scenario.pairs.iter().map(slowdown).collect();
        assert_eq!(slowdowns, error_rates::SLOWDOWNS);
    }
}
