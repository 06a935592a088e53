//! `compare`, and the gate at the end of a run: is the candidate worse than the baseline, and are the thresholds kept?

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use harness::plan::Plan;
use harness::run::{Finished, RESULTS};
use machine::error::{Error, Result};
use reports::compare::Outcome;
use reports::gate::output::{self, Findings};
use reports::gate::{self, Answer, Comparison, Settings, thresholds};
use reports::printable;
use reports::record::Results;

use crate::format::Format;

#[derive(Args)]
pub struct Compare {
    /// What is compared with: a results.json or its directory
    baseline: PathBuf,
    /// What is judged: a results.json or its directory [default: the pairs within BASELINE]
    candidate: Option<PathBuf>,
    #[command(flatten)]
    judging: Judging,
}

/// How a comparison is judged, and where its outcome goes.
#[derive(Args)]
pub struct Judging {
    /// Another run of the baseline's version: what it differs by from the baseline is noise (repeatable)
    #[arg(long, value_name = "RESULTS")]
    same: Vec<PathBuf>,
    /// Times that differ by less than this share are equivalent
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().margin, value_parser = share)]
    margin: f64,
    /// Also fail when something is inconclusive (exit code 3)
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// Show what is equivalent as well
    #[arg(long)]
    all: bool,
    /// Write the outcome as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the medians as JSON for continuous-benchmark services (name, unit, value, range; smaller is better)
    #[arg(long, value_name = "FILE")]
    benchmark_json: Option<PathBuf>,
    /// Write medians, verdicts and answers as OpenMetrics text
    #[arg(long, value_name = "FILE")]
    openmetrics: Option<PathBuf>,
}

/// What fails besides a regression.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// An answer that could not be given
    Inconclusive,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 10.0);
    share.ok_or_else(|| "give a share above 0 and up to 10: 0.1 is 10 %".to_owned())
}

/// What a run is held against.
#[derive(Args)]
pub struct Gate {
    /// Compare with this run at the end: a results.json or its directory
    #[arg(long, value_name = "RESULTS")]
    baseline: Option<PathBuf>,
    /// Measure again what regressed, and believe it only when it regresses again
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    judging: Judging,
}

/// Compares two runs, or the pairs within one. The exit code tells whether something regressed.
///
/// # Errors
/// When results cannot be read, or not compared.
pub fn compare(arguments: &Compare) -> Result<u8> {
    let baseline = load(&arguments.baseline)?;
    let settings = arguments.judging.settings();
    let Some(candidate) = &arguments.candidate else {
        let found = gate::compare_pairs(&baseline, &settings).ok_or_else(|| {
            Error::Input(format!(
                "{}: its scenario has no [[pairs]]: give a second run to compare with",
                arguments.baseline.display()
            ))
        })?;
        return conclude(&arguments.judging, &baseline, &[found], Outcome::AsPromised);
    };
    let candidate = load(candidate)?;
    let same = load_all(&arguments.judging.same)?;
    let found = gate::compare(&baseline, &candidate, &same, &settings).map_err(input)?;
    conclude(&arguments.judging, &candidate, &[found], Outcome::AsPromised)
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::Input(error.to_string())
}

/// A results file, by its name or its directory.
pub fn load(path: &Path) -> Result<Results> {
    let file = if path.is_dir() { path.join(RESULTS) } else { path.to_owned() };
    Results::load(&file).map_err(input)
}

fn load_all(paths: &[PathBuf]) -> Result<Vec<Results>> {
    paths.iter().map(|path| load(path)).collect()
}

/// The baseline of a run, read before the run begins.
pub struct Prepared<'a> {
    gate: &'a Gate,
    baseline: Option<Results>,
    same: Vec<Results>,
}

impl Gate {
    /// Reads what the run is to be compared with, as far as the plan has it.
    ///
    /// # Errors
    /// When it cannot be read, or has none of the planned trials.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared<'_>> {
        let mut prepared = Prepared {
            gate: self,
            baseline: self.baseline.as_deref().map(load).transpose()?,
            same: load_all(&self.judging.same)?,
        };
        let Some(baseline) = &mut prepared.baseline else {
            return if self.judging.same.is_empty() {
                Ok(prepared)
            } else {
                Err(Error::Input("--same tells the noise of a baseline: give it with --baseline".into()))
            };
        };
        let planned = |subject: &str| {
            plan.trials.iter().any(|trial| gate::subject_of(&trial.id, trial.repetition) == subject)
        };
        baseline.trials.retain(|trial| planned(gate::subject(trial)));
        if baseline.trials.is_empty() {
            return Err(Error::Input(format!(
                "the baseline {} has none of the trials of scenario '{}': make it with the same scenario, sizes and rates",
                baseline.run.id, plan.scenario.name
            )));
        }
        Ok(prepared)
    }
}

impl Prepared<'_> {
    /// Judges a run that has ended. `again` runs these trials once more.
    ///
    /// # Errors
    /// When the outcome cannot be written, or measuring again fails.
    pub fn judge(&self, finished: &Finished, again: &dyn Fn(&[String]) -> Result<Results>) -> Result<u8> {
        let settings = self.gate.judging.settings();
        let results = &finished.results;
        let mut comparisons = Vec::new();
        if let Some(baseline) = &self.baseline {
            let found = gate::compare(baseline, results, &self.same, &settings).map_err(input)?;
            comparisons.push(self.confirmed(found, again, |first, again| {
                gate::compare_flagged(first, baseline, again, &settings).map_err(input)
            })?);
        }
        if let Some(found) = gate::compare_pairs(results, &settings) {
            comparisons.push(self.confirmed(found, again, |first, again| {
                let pairs = gate::compare_flagged_pairs(first, again, &settings);
                Ok(pairs.expect("the same scenario has the same pairs"))
            })?);
        }
        conclude(&self.gate.judging, results, &comparisons, outcome(results))
    }

    /// Measures again what was flagged, where that was asked for.
    fn confirmed(
        &self,
        first: Comparison,
        again: &dyn Fn(&[String]) -> Result<Results>,
        compare: impl Fn(&Comparison, &Results) -> Result<Comparison>,
    ) -> Result<Comparison> {
        let mut trials: Vec<String> = first.flagged().flat_map(|row| row.trials.clone()).collect();
        trials.sort_unstable();
        trials.dedup();
        if !self.gate.confirm || trials.is_empty() {
            return Ok(first);
        }
        let second = compare(&first, &again(&trials)?)?;
        Ok(first.confirmed_by(&second))
    }
}

impl Judging {
    fn settings(&self) -> Settings {
        Settings { margin: self.margin, ..Settings::default() }
    }

    /// What a comparison says in the terms of a run's outcome.
    fn outcome(&self, answer: Answer) -> Outcome {
        match answer {
            Answer::Regressed => Outcome::FellShort,
            Answer::Inconclusive if self.fail_on == Some(FailOn::Inconclusive) => Outcome::Unverified,
            _ => Outcome::AsPromised,
        }
    }
}

/// Shows and writes what was found. The exit code is that of the worst of it.
fn conclude(
    judging: &Judging,
    results: &Results,
    comparisons: &[Comparison],
    outcome: Outcome,
) -> Result<u8> {
    let findings = Findings { results, comparisons };
    for comparison in comparisons {
        show(comparison, judging.all);
    }
    let broken = thresholds::judge(results).into_iter().filter(|finding| finding.holds != Some(true));
    broken.for_each(|finding| println!("{}", printable(&finding.sentence())));
    write(judging.junit.as_deref(), || output::junit(&findings))?;
    write(judging.benchmark_json.as_deref(), || output::benchmark_json(results))?;
    write(judging.openmetrics.as_deref(), || output::openmetrics(&findings))?;
    append_to_summary(&findings)?;
    let compared = comparisons.iter().map(|comparison| judging.outcome(comparison.answer()));
    Ok(crate::exit::of_outcome(compared.fold(outcome, Outcome::max)))
}

/// What a run comes to by its verdicts and its thresholds.
pub fn outcome(results: &Results) -> Outcome {
    let limits = thresholds::judge(results).into_iter().map(|finding| match finding.holds {
        Some(true) => Outcome::AsPromised,
        Some(false) => Outcome::FellShort,
        None => Outcome::Unverified,
    });
    limits.fold(Outcome::of_run(results), Outcome::max)
}

fn show(comparison: &Comparison, all: bool) {
    let rows = output::table(comparison, all);
    println!("{}", comparison_title(comparison));
    comparison.notes.iter().for_each(|note| println!("{}", printable(note)));
    if !rows.is_empty() {
        // A terminal has no room for sentences in a column.
        println!("{}", Format::Table.of(&rows.select(|column| column.label != output::WHY)));
        output::reasons(comparison, all).iter().for_each(|reason| println!("- {reason}"));
    }
    println!("{}", output::summary(comparison));
}

fn comparison_title(comparison: &Comparison) -> String {
    if comparison.baseline == comparison.candidate {
        format!("pairs within {}", comparison.candidate)
    } else {
        format!("{} against the baseline {}", comparison.candidate, comparison.baseline)
    }
}

fn write(file: Option<&Path>, content: impl Fn() -> String) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, content())
        .map_err(|error| Error::Input(format!("cannot write {}: {error}", file.display())))
}

/// The variable with the file that GitHub shows beside a job.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

fn append_to_summary(findings: &Findings<'_>) -> Result<()> {
    let Some(file) = std::env::var_os(SUMMARY).filter(|file| !file.is_empty()) else { return Ok(()) };
    let refused = |error| {
        let file = file.to_string_lossy();
        Error::Environment(format!("cannot write the summary to {file} ({SUMMARY}): {error}"))
    };
    let mut summary = std::fs::File::options().append(true).create(true).open(&file).map_err(refused)?;
    summary.write_all(output::markdown(findings).as_bytes()).map_err(refused)
}
