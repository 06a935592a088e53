//! `compare`, and the gate at the end of a run: is the candidate worse than the baseline, and are the thresholds met?

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use harness::plan::Plan;
use harness::run::Finished;
use machine::error::{Error, Result};
use reports::compare::Outcome;
use reports::gate::output::{self, Findings};
use reports::gate::{self, Answer, Comparison, Settings, thresholds};
use reports::printable;
use reports::record::Results;

use crate::format::Format;
use crate::{exit, results_file};

#[derive(Args)]
pub struct Compare {
    /// The run to compare with: a results.json or its directory
    baseline: PathBuf,
    /// The run to judge: a results.json or its directory [default: compare the pairs within BASELINE]
    candidate: Option<PathBuf>,
    #[command(flatten)]
    judging: Judging,
    /// How the comparison is printed; what is not a table goes to standard error with json and csv
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// How to judge a comparison, and where to write its outcome.
#[derive(Args)]
pub struct Judging {
    /// Another run of the baseline's version: its differences from the baseline are noise (repeatable)
    #[arg(long, value_name = "RESULTS")]
    same: Vec<PathBuf>,
    /// Treat times that differ by less than this share as equivalent
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().margin, value_parser = share)]
    margin: f64,
    /// Also fail when something is inconclusive (exit code 3)
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// Also show what is equivalent
    #[arg(long)]
    all: bool,
    /// Write the outcome as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the medians as JSON for continuous-benchmark services (name, unit, value, range; smaller is better)
    #[arg(long, value_name = "FILE")]
    benchmark_json: Option<PathBuf>,
    /// Write medians, verdicts and comparison results as OpenMetrics text
    #[arg(long, value_name = "FILE")]
    openmetrics: Option<PathBuf>,
}

/// What fails in addition to a regression.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A comparison without a clear answer
    Inconclusive,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 10.0);
    share.ok_or_else(|| "expected a share above 0 and up to 10, such as 0.1 for 10 %".to_owned())
}

/// What a run is compared with.
#[derive(Args)]
pub struct Gate {
    /// Compare with this run at the end: a results.json or its directory
    #[arg(long, value_name = "RESULTS")]
    baseline: Option<PathBuf>,
    /// Measure regressed trials again, and report a regression only when it is confirmed
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    judging: Judging,
}

/// Compares two runs, or the pairs within one. The exit code says whether something regressed.
///
/// # Errors
/// When results cannot be read or compared.
pub fn compare(arguments: &Compare) -> Result<u8> {
    let baseline = results_file::load(&arguments.baseline)?;
    let settings = arguments.judging.settings();
    let Some(candidate) = &arguments.candidate else {
        let found = gate::compare_pairs(&baseline, &settings).ok_or_else(|| {
            Error::Input(format!(
                "{}: its scenario has no [[pairs]]; name a second run to compare with",
                arguments.baseline.display()
            ))
        })?;
        return arguments.conclude(&baseline, found);
    };
    let candidate = results_file::load(candidate)?;
    let same = load_all(&arguments.judging.same)?;
    let found = gate::compare(&baseline, &candidate, &same, &settings).map_err(input)?;
    arguments.conclude(&candidate, found)
}

impl Compare {
    fn conclude(&self, results: &Results, found: Comparison) -> Result<u8> {
        conclude(&self.judging, self.format, results, &[found], Outcome::AsPromised)
    }
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::Input(error.to_string())
}

fn load_all(paths: &[PathBuf]) -> Result<Vec<Results>> {
    paths.iter().map(|path| results_file::load(path)).collect()
}

/// The baseline of a run, read before the run begins.
pub struct Prepared<'a> {
    gate: &'a Gate,
    baseline: Option<Results>,
    same: Vec<Results>,
}

impl Gate {
    /// Reads the runs to compare with, and keeps those trials of the baseline that are in the plan.
    ///
    /// # Errors
    /// When a run cannot be read, or the baseline has none of the planned trials.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared<'_>> {
        let mut prepared = Prepared {
            gate: self,
            baseline: self.baseline.as_deref().map(results_file::load).transpose()?,
            same: load_all(&self.judging.same)?,
        };
        let Some(baseline) = &mut prepared.baseline else {
            return if self.judging.same.is_empty() {
                Ok(prepared)
            } else {
                Err(Error::Input("--same measures the noise of a baseline: use it with --baseline".into()))
            };
        };
        let planned = |subject: &str| {
            plan.trials.iter().any(|trial| gate::subject_of(&trial.id, trial.repetition) == subject)
        };
        baseline.trials.retain(|trial| planned(gate::subject(trial)));
        if baseline.trials.is_empty() {
            return Err(Error::Input(format!(
                "the baseline {} has none of the trials of scenario '{}': use a baseline with the same scenario, sizes \
                 and rates",
                baseline.run.id, plan.scenario.name
            )));
        }
        Ok(prepared)
    }
}

impl Prepared<'_> {
    /// Judges a run that has ended. `again` repeats the given trials.
    ///
    /// # Errors
    /// When the outcome cannot be written, or the repeated trials fail.
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
        conclude(&self.gate.judging, Format::default(), results, &comparisons, outcome(results))
    }

    /// With `--confirm`, measures again what was flagged.
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

    /// The answer of a comparison, as the outcome of a run.
    fn outcome(&self, answer: Answer) -> Outcome {
        match answer {
            Answer::Regressed => Outcome::FellShort,
            Answer::Inconclusive if self.fail_on == Some(FailOn::Inconclusive) => Outcome::Unverified,
            _ => Outcome::AsPromised,
        }
    }
}

/// Shows and writes the findings. The exit code is that of the worst finding.
fn conclude(
    judging: &Judging,
    format: Format,
    results: &Results,
    comparisons: &[Comparison],
    outcome: Outcome,
) -> Result<u8> {
    let findings = Findings { results, comparisons };
    for comparison in comparisons {
        show(comparison, judging.all, format);
    }
    let broken = thresholds::judge(results).into_iter().filter(|finding| finding.holds != Some(true));
    broken.for_each(|finding| say(format, &printable(&finding.sentence())));
    write(judging.junit.as_deref(), || output::junit(&findings))?;
    write(judging.benchmark_json.as_deref(), || output::benchmark_json(results))?;
    write(judging.openmetrics.as_deref(), || output::openmetrics(&findings))?;
    append_to_summary(&findings)?;
    let compared = comparisons.iter().map(|comparison| judging.outcome(comparison.answer()));
    Ok(exit::of_outcome(compared.fold(outcome, Outcome::max)))
}

/// The outcome of a run, by its verdicts and thresholds.
pub fn outcome(results: &Results) -> Outcome {
    let limits = thresholds::judge(results).into_iter().map(|finding| match finding.holds {
        Some(true) => Outcome::AsPromised,
        Some(false) => Outcome::FellShort,
        None => Outcome::Unverified,
    });
    limits.fold(Outcome::of_run(results), Outcome::max)
}

fn show(comparison: &Comparison, all: bool, format: Format) {
    let rows = output::table(comparison, all);
    say(format, &comparison_title(comparison));
    comparison.notes.iter().for_each(|note| say(format, &printable(note)));
    if matches!(format, Format::Json | Format::Csv) {
        println!("{}", format.of(&output::table_of_numbers(comparison, all)));
    } else if format == Format::Markdown {
        println!("{}", format.of(&rows));
    } else if !rows.is_empty() {
        // A terminal has no room for sentences in a column.
        println!("{}", format.of(&rows.select(|column| column.label != output::WHY)));
        output::reasons(comparison, all).iter().for_each(|reason| println!("- {reason}"));
    }
    say(format, &output::summary(comparison));
}

/// Prints a sentence beside the table: where the table is for a program, not into it.
fn say(format: Format, sentence: &str) {
    match format {
        Format::Table => println!("{sentence}"),
        Format::Markdown => println!("{sentence}\n"),
        Format::Json | Format::Csv => eprintln!("{sentence}"),
    }
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

/// Environment variable with the path of the summary file that GitHub shows for a job.
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
