//! `advise`: which strategies meet given objectives at a database size and write rate, based on measured runs.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use engines::engine::Engine;
use engines::registry;
use harness::plan::Plan;
use harness::run::{self, RESULTS};
use harness::scenario::{Overrides, Scenario};
use harness::trial::Keep;
use machine::error::{Error, Result};
use machine::process::Cancel;
use machine::{quantity, this_program};
use model::schedule::Rate;
use reports::compare::is_cut_short;
use reports::printable;
use reports::record::Results;
use reports::sizing::decide::{Objectives, decide};
use reports::sizing::{Load, check, fit, text};

use crate::arguments::place::Place;
use crate::arguments::version::version;
use crate::execute::execute;
use crate::format::Format;
use crate::{exit, results_file, show};

/// The scenario to run when no results are given.
const CALIBRATION: &str = "calibration";

#[derive(Args)]
pub struct Advise {
    /// Size of the database (17GiB, 500MB)
    #[arg(long, required_unless_present = "check", value_parser = size)]
    size: Option<ByteSize>,
    /// Writes per second
    #[arg(long, required_unless_present = "check", value_parser = rate)]
    rate: Option<f64>,
    /// Recovery point objective: the most data loss that is acceptable, as time (5m, 90s, 1h30m, 250ms)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    rpo: Option<f64>,
    /// Recovery time objective: the longest acceptable time until the restored database answers
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    rto: Option<f64>,
    /// The longest acceptable time for which a backup blocks writes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    blocked: Option<f64>,
    /// The backup must survive the loss of the database's disk
    #[arg(long)]
    survive_disk_loss: bool,
    /// Time from the start of one backup to the start of the next [default: one directly after the other]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    interval: Option<f64>,
    /// Only strategies for this engine
    #[arg(long, value_parser = registry::named)]
    engine: Option<&'static dyn Engine>,
    /// Measured runs: a results.json or its directory (repeatable) [default: a calibration run on this machine, made
    /// once for each rate and kept in --dir]
    #[arg(long, value_name = "RESULTS")]
    from: Vec<PathBuf>,
    /// Measure the prediction error of the model: fit it on sizes up to --fit-up-to, and predict the larger ones
    #[arg(long, requires = "from")]
    check: bool,
    /// With --check: the largest database size that the model is fitted on
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = quantity::size, requires = "check")]
    fit_up_to: ByteSize,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// Answers one question, or measures the prediction error of the model. The exit code is 1 when no strategy meets the
/// objectives.
///
/// # Errors
/// When results cannot be read, or the calibration run fails.
pub fn advise(arguments: &Advise, cancel: &Cancel) -> Result<u8> {
    let load = arguments.size.zip(arguments.rate).map(|(size, rate)| Load {
        bytes: size.0 as f64,
        rate,
        interval_seconds: arguments.interval,
    });
    let runs = match load {
        Some(load) if arguments.from.is_empty() => vec![calibrated(arguments, &load, cancel)?],
        _ => arguments.from.iter().map(|from| results_file::load(from)).collect::<Result<Vec<Results>>>()?,
    };
    let runs: Vec<&Results> = runs.iter().collect();
    match load {
        Some(load) if !arguments.check => Ok(answer(arguments, &load, &runs)),
        _ => check_model(&runs, arguments),
    }
}

fn answer(arguments: &Advise, load: &Load, runs: &[&Results]) -> u8 {
    let objectives = Objectives {
        rpo_seconds: arguments.rpo,
        rto_seconds: arguments.rto,
        blocked_seconds: arguments.blocked,
        survive_disk_loss: arguments.survive_disk_loss,
    };
    let model = fit(runs);
    let advice = decide(&model, load, &objectives, arguments.engine.map(|engine| engine.name()));
    match arguments.format {
        Format::Json | Format::Csv => println!("{}", arguments.format.of(&text::raw(&advice))),
        Format::Table | Format::Markdown => {
            println!("{}\n\n{}", text::question(&advice), text::answer(&advice));
            let tables = [text::meeting(&advice), text::excluded(&advice)];
            for table in tables.iter().filter(|table| !table.is_empty()) {
                println!("\n{}", arguments.format.of(table));
            }
            println!();
            text::notes(&advice).iter().for_each(|note| println!("- {}", printable(note)));
        }
    }
    let any = advice.judgements.iter().any(|one| one.meets());
    if any { exit::SUCCESS } else { exit::FELL_SHORT }
}

fn check_model(runs: &[&Results], arguments: &Advise) -> Result<u8> {
    let fit_up_to = arguments.fit_up_to;
    // A generated file may be a few pages larger than its target size.
    let checked = check::check(runs, fit_up_to.0 as f64 * 1.05);
    if checked.is_empty() {
        return Err(Error::Input(format!(
            "nothing to check: no strategy was measured at sizes up to {fit_up_to} and also at larger sizes; give runs \
             of more sizes with --from, or another --fit-up-to"
        )));
    }
    let (summary, details) = (check::summary(&checked), check::details(&checked));
    match arguments.format {
        Format::Json | Format::Csv => println!("{}", arguments.format.of(&details)),
        Format::Table | Format::Markdown => {
            println!("{}\n\n{}", arguments.format.of(&summary), arguments.format.of(&details));
        }
    }
    Ok(exit::SUCCESS)
}

/// The calibration run of this machine for a rate: started, continued, or only read when it is complete.
fn calibrated(arguments: &Advise, load: &Load, cancel: &Cancel) -> Result<Results> {
    let covered = registry::DEFAULT;
    if let Some(engine) = arguments.engine.filter(|engine| *engine != covered) {
        return Err(Error::Input(format!(
            "the calibration run covers {} only: name a run on {} with --from RESULTS",
            covered.title(),
            engine.title()
        )));
    }
    let root = arguments.place.directory();
    let out = root.join(format!("{CALIBRATION}-{}", load.rate));
    let begun = out.join(RESULTS).exists();
    if begun {
        let results = results_file::load(&out)?;
        if !is_cut_short(&results) {
            eprintln!("using the calibration run in {}: remove it to measure again", out.display());
            return Ok(results);
        }
    }
    let scenario = Scenario::load(CALIBRATION, &root)?;
    let overrides = Overrides { rate: Some(Rate::Open(load.rate)), ..Overrides::default() };
    let request = run::Request {
        plan: Plan::new(scenario, &overrides)?,
        root,
        out: Some(out),
        is_newest: false,
        resume: begun,
        keep: Keep::None,
        keep_bytes: 0,
        command: format!("{} run {CALIBRATION} --rate {}", this_program::name(), load.rate),
        harness_version: version(),
    };
    let (rate, begins) = (load.rate, if begun { "continuing" } else { "making" });
    eprintln!(
        "no run was given with --from: {begins} the calibration run of this machine for {rate} writes a second, which \
         takes about five minutes"
    );
    let finished = execute(&request, cancel)?;
    show::leftovers(&finished.leftovers);
    Ok(finished.results)
}

fn size(text: &str) -> Result<ByteSize, String> {
    let size = quantity::size(text)?;
    if size.0 > 0 { Ok(size) } else { Err("it must be larger than 0".into()) }
}

/// A duration above 0, in seconds.
fn duration(text: &str) -> Result<f64, String> {
    let seconds = quantity::seconds(text)?;
    if seconds > 0.0 { Ok(seconds) } else { Err("it must be longer than 0".into()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 100_000.0);
    rate.ok_or_else(|| "expected a number of writes per second above 0 and up to 100000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_sizes_and_rates_must_be_above_zero() {
        assert_eq!(duration("1h30m"), Ok(5400.0));
        assert!(size("1GiB").is_ok() && size("0").is_err());
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(duration("0s").is_err() && duration("-5m").is_err() && duration("5 parsecs").is_err());
        assert!(rate("0").is_err() && rate("closed").is_err());
    }
}
