//! `publish`: adds a run to the published runs, and updates their index.

use std::path::{Path, PathBuf};

use clap::Parser;
use harness::plan::Plan;
use harness::run::{self, RESULTS};
use harness::scenario::Scenario;
use machine::error::{Error, Result};
use machine::this_program;
use reports::record::Results;
use reports::render;
use reports::render::published::{INDEX_FILES, Published, index_html, index_markdown};

use crate::arguments::place::default_directory;
use crate::arguments::{Arguments, Command, Publish};
use crate::{exit, results_file};

/// The report that the index links to: the first of these that a run has.
const REPORTS: [&str; 2] = ["report.html", "report.md"];

/// Publishes a run.
///
/// # Errors
/// [`Error::Input`] when the results cannot be read, the name is taken, or files cannot be written.
pub fn publish(arguments: &Publish) -> Result<u8> {
    let mut results = results_file::load(&arguments.run)?;
    // Evidence is not published.
    results.trials.iter_mut().for_each(|trial| trial.kept = None);
    let into = arguments.into.clone().unwrap_or_else(|| {
        this_program::checkout().unwrap_or_else(|| PathBuf::from(".")).join("reports/published")
    });
    let name = arguments.name.as_ref().unwrap_or(&results.run.scenario);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Error::Input(format!("'{name}' is not a valid directory name: choose another --name")));
    }
    let directory = into.join(name);
    if directory.exists() && !arguments.replace {
        return Err(Error::Input(format!(
            "{} exists already: choose another --name, or replace it with --replace",
            directory.display()
        )));
    }
    write_run(&directory, &results)?;
    write_index(&into)?;
    println!("{}", directory.display());
    INDEX_FILES.iter().for_each(|name| println!("{}", into.join(name).display()));
    Ok(exit::SUCCESS)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::Input(format!("cannot write {}: {error}", path.display()))
}

/// Writes the record and its report. Files of an earlier run are removed.
fn write_run(directory: &Path, results: &Results) -> Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    }
    std::fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    let record = serde_json::to_string_pretty(results).expect("a record is plain data") + "\n";
    let files = render::files(results);
    let files = files.iter().map(|file| (file.name.to_string(), file.content.as_bytes()));
    for (name, content) in files.chain([(RESULTS.to_owned(), record.as_bytes())]) {
        let file = directory.join(name);
        std::fs::write(&file, content).map_err(|error| cannot_write(&file, &error))?;
    }
    Ok(())
}

/// Writes the index of all runs in a directory.
///
/// # Errors
/// As [`publish`].
pub fn write_index(into: &Path) -> Result<()> {
    let runs = published(into)?;
    for (name, content) in INDEX_FILES.iter().zip([index_markdown(&runs), index_html(&runs)]) {
        let file = into.join(name);
        std::fs::write(&file, content).map_err(|error| cannot_write(&file, &error))?;
    }
    Ok(())
}

/// All runs in a directory.
fn published(into: &Path) -> Result<Vec<Published>> {
    let entries = std::fs::read_dir(into)
        .map_err(|error| Error::Input(format!("cannot read {}: {error}", into.display())))?;
    let mut runs = Vec::new();
    for directory in entries.flatten().map(|entry| entry.path()).filter(|path| path.join(RESULTS).is_file()) {
        let results = results_file::load(&directory)?;
        let report = REPORTS.into_iter().find(|report| directory.join(report).is_file()).unwrap_or(RESULTS);
        runs.push(Published {
            directory: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            report: report.to_owned(),
            changes: changes(&results)?,
            results,
        });
    }
    Ok(runs)
}

/// What has changed in the shipped scenario of a run since then; `None` when it is not a shipped scenario. The command
/// in the record says which trials the run was meant to have.
fn changes(results: &Results) -> Result<Option<Vec<String>>> {
    let words = shlex::split(&results.run.command).unwrap_or_default();
    let is_ours = |word: &&String| !["cargo", "xtask", "backup-drill"].contains(&word.as_str());
    let words = std::iter::once("backup-drill".to_owned())
        .chain(words.iter().skip_while(|word| !is_ours(word)).cloned());
    let Ok(Arguments { command: Command::Run(run), .. }) = Arguments::try_parse_from(words) else {
        return Ok(None);
    };
    let shipped = Scenario::shipped()?.into_iter().any(|scenario| scenario.name == results.run.scenario);
    if !shipped || run.select.overrides().database.is_some() {
        return Ok(None);
    }
    let scenario = Scenario::load(&results.run.scenario, &default_directory())?;
    match Plan::new(scenario, &run.select.overrides()) {
        Ok(plan) => run::changes_since(results, &plan).map(Some),
        Err(error) => Ok(Some(vec![format!("its command no longer selects any trials: {error}")])),
    }
}
