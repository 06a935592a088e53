//! `advise`: which strategies meet given objectives at a size and a rate, by runs that were measured.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use clap::Args;
use harness::error::{Error, Result};
use harness::plan::Plan;
use harness::process::Cancel;
use harness::run::{self, RESULTS};
use harness::scenario::{Engine, Overrides, Scenario};
use harness::trial::Keep;
use harness::workload::schedule::Rate;
use jiff::{Span, SpanRelativeTo};
use reports::compare::is_cut_short;
use reports::record::Results;
use reports::sizing::decide::{Objectives, decide};
use reports::sizing::{Load, check, fit, text};

use crate::arguments::{self, Place};
use crate::{exit, show};

#[derive(Args)]
pub struct Advise {
    /// Size of the database (17GiB, 500MB)
    #[arg(long, required_unless_present = "check")]
    size: Option<ByteSize>,
    /// Writes a second
    #[arg(long, required_unless_present = "check", value_parser = rate)]
    rate: Option<f64>,
    /// Tolerable loss, whenever the disaster comes (5m, 90s, 1h30m, 250ms)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    rpo: Option<f64>,
    /// Tolerable time until the restored database answers
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    rto: Option<f64>,
    /// Tolerable time in which a backup blocks writes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    blocked: Option<f64>,
    /// The backup has to survive the loss of the database's disk
    #[arg(long)]
    survive_disk_loss: bool,
    /// Time from the beginning of a backup to that of the next [default: one right after the other]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    interval: Option<f64>,
    /// Only strategies for this engine
    #[arg(long, value_parser = engine)]
    engine: Option<Engine>,
    /// A results.json or its directory (repeatable) [default: a calibration run on this machine, made once for each rate
    /// and kept in --dir]
    #[arg(long, value_name = "RESULTS")]
    from: Vec<PathBuf>,
    /// Measure the error of the model: fit the runs of --from up to --fit-up-to, and predict the larger ones
    #[arg(long, requires = "from")]
    check: bool,
    /// With --check: the largest database that is fitted
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::gib(1), requires = "check")]
    fit_up_to: ByteSize,
    #[command(flatten)]
    place: Place,
}

/// Answers one question, or measures the error of the model. 1 when no strategy meets the objectives.
///
/// # Errors
/// When results cannot be read, or a calibration run cannot be made.
pub fn advise(arguments: &Advise, cancel: &Cancel) -> Result<u8> {
    let load = arguments.size.zip(arguments.rate).map(|(size, rate)| Load {
        bytes: size.0 as f64,
        rate,
        interval_seconds: arguments.interval,
    });
    let runs = match load {
        Some(load) if arguments.from.is_empty() => vec![calibrated(arguments, &load, cancel)?],
        _ => arguments.from.iter().map(|from| loaded(from)).collect::<Result<Vec<Results>>>()?,
    };
    let runs: Vec<&Results> = runs.iter().collect();
    match load {
        Some(load) if !arguments.check => Ok(answer(arguments, &load, &runs)),
        _ => check_model(&runs, arguments.fit_up_to),
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
    let advice = decide(&model, load, &objectives, arguments.engine.map(Engine::name));
    println!("{}\n{}", text::question(&advice), text::answer(&advice));
    show::table(&text::meeting(&advice));
    show::table(&text::excluded(&advice));
    text::notes(&advice).iter().for_each(|note| println!("- {note}"));
    let any = advice.judgements.iter().any(|one| one.meets());
    if any { exit::SUCCESS } else { exit::FELL_SHORT }
}

fn check_model(runs: &[&Results], fit_up_to: ByteSize) -> Result<u8> {
    // A file of the asked size may be a few pages larger.
    let checked = check::check(runs, fit_up_to.0 as f64 * 1.05);
    if checked.is_empty() {
        return Err(Error::Input(format!(
            "nothing to check: no strategy was measured both up to {fit_up_to} and beyond; give runs of more sizes with \
             --from, or another --fit-up-to"
        )));
    }
    println!(
        "{}\n\n{}",
        text::markdown(&check::summary(&checked)),
        text::markdown(&check::details(&checked))
    );
    Ok(exit::SUCCESS)
}

fn loaded(from: &Path) -> Result<Results> {
    let file = if from.is_dir() { from.join(RESULTS) } else { from.to_owned() };
    Results::load(&file).map_err(|error| Error::Input(error.to_string()))
}

/// The calibration run of this machine for a rate: made now, gone on with, or read where it is complete.
fn calibrated(arguments: &Advise, load: &Load, cancel: &Cancel) -> Result<Results> {
    if arguments.engine == Some(Engine::Mysql) {
        return Err(Error::Input(
            "the calibration run covers SQLite only: give a run with MySQL with --from RESULTS".into(),
        ));
    }
    let root = arguments.place.directory();
    let out = root.join(format!("calibration-{}", load.rate));
    let begun = out.join(RESULTS).exists();
    if begun {
        let results = loaded(&out)?;
        if !is_cut_short(&results) {
            eprintln!("using the calibration run in {}: remove it to measure again", out.display());
            return Ok(results);
        }
    }
    let scenario = Scenario::parse("calibration", include_str!("../../scenarios/calibration.toml"))
        .expect("the calibration scenario is valid");
    let overrides = Overrides { rate: Some(Rate::Open(load.rate)), ..Overrides::default() };
    let request = run::Request {
        plan: Plan::new(scenario, &overrides)?,
        root,
        out: Some(out),
        is_newest: false,
        resume: begun,
        keep: Keep::None,
        keep_bytes: 0,
        command: format!("{} run calibration --rate {}", harness::program::name(), load.rate),
        harness_version: arguments::version(),
    };
    eprintln!("no run was given with --from: calibrating this machine, which takes some minutes");
    let progress = show::Progress::new();
    let outcome = run::run(&request, cancel, &|event| progress.show(event));
    progress.finish();
    outcome.map(|finished| {
        show::leftovers(&finished.leftovers);
        finished.results
    })
}

/// Seconds of a duration above 0.
fn duration(text: &str) -> Result<f64, String> {
    let parsed =
        text.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    match parsed.map(|duration| duration.as_secs_f64()) {
        Some(seconds) if seconds > 0.0 => Ok(seconds),
        Some(_) => Err("a duration has to be longer than 0".into()),
        None => Err("not a duration: write a number with a unit, such as 5m, 90s, 1h30m or 250ms".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 100_000.0);
    rate.ok_or_else(|| "expected a number of writes a second above 0, up to 100000".into())
}

fn engine(name: &str) -> Result<Engine, String> {
    let known = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    known.ok_or_else(|| harness::error::unknown("engine", name, &Engine::ALL.map(Engine::name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("5m", 300.0),
            ("90s", 90.0),
            ("1h30m", 5400.0),
            ("250ms", 0.25),
            ("1d", 86_400.0),
            ("2 hours", 7200.0),
        ] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "5", "m", "-5m", "0s", "5 parsecs", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_calibration_can_be_planned() {
        let scenario =
            Scenario::parse("calibration", include_str!("../../scenarios/calibration.toml")).unwrap();
        assert_eq!(Plan::new(scenario, &Overrides::default()).unwrap().trials.len(), 18);
    }
}
