//! `check`: whether a backup can be relied on, without a scenario file.

use std::path::{Path, PathBuf};

use engines::files::Inspection;
use engines::registry;
use harness::plan::Plan;
use harness::run;
use harness::scenario::{Overrides, Scenario};
use machine::error::{Error, Result};
use machine::process::{Cancel, Launcher};
use machine::workspace::Workspace;
use reports::compare::Outcome;
use reports::printable;
use reports::record::Check as Outcomes;
use reports::render::REPORT;
use reports::render::answer::answer;
use reports::render::table::Table;

use crate::arguments::version::version;
use crate::arguments::{Check, KEEP_BYTES};
use crate::execute::execute;
use crate::format::Format;
use crate::{exit, show};

/// The scenario in which the commands run.
const SCENARIO: &str = include_str!("script_check/scenario.toml");

/// Checks commands, or a file.
///
/// # Errors
/// Those of a run; [`Error::Input`] when the file is not a database.
pub fn check(arguments: &Check, cancel: &Cancel) -> Result<u8> {
    match (&arguments.backup_file, &arguments.backup, &arguments.restore) {
        (Some(file), ..) => check_file(file, arguments, cancel),
        (None, Some(backup), Some(restore)) => check_commands(backup, restore, arguments, cancel),
        _ => unreachable!("the grammar asks for a file or for both commands"),
    }
}

/// A scenario that tests these commands. Relative paths are relative to the current directory.
pub fn scenario(backup: &str, restore: &str, arguments: &Check) -> Scenario {
    let mut scenario = Scenario::parse("check", SCENARIO).expect("it is part of this program");
    if let Some(engine) = arguments.engine {
        scenario.subject.engines = vec![engine];
    }
    if let Some(database) = &arguments.database {
        // So that writers and locks behave as in the user's application.
        let (_, files) = registry::of_files();
        scenario.subject.modes = vec![files.mode(database)];
    }
    for variant in &mut scenario.variants {
        for (name, command) in [("backup", backup), ("restore", restore)] {
            variant.settings.insert(name.into(), command_setting(command));
        }
    }
    scenario
}

/// A command as the setting of a scenario: a list of words when it needs no shell, so that a missing program is noticed
/// before anything runs.
pub fn command_setting(command: &str) -> serde_json::Value {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=,:@%+ ".contains(character);
    if command.chars().all(is_plain) && !command.trim().is_empty() {
        command.split_whitespace().collect::<Vec<_>>().into()
    } else {
        command.into()
    }
}

fn check_commands(backup: &str, restore: &str, arguments: &Check, cancel: &Cancel) -> Result<u8> {
    for (flag, command) in [("--backup", backup), ("--restore", restore)] {
        if command.trim().is_empty() {
            return Err(Error::Input(format!("{flag} is empty: a command is required")));
        }
    }
    let overrides = Overrides {
        size: arguments.size,
        rate: arguments.rate,
        repetitions: arguments.repetitions,
        database: arguments.database.clone(),
        ..Overrides::default()
    };
    let request = run::Request {
        plan: Plan::new(scenario(backup, restore, arguments), &overrides).map_err(by_flags)?,
        root: arguments.place.directory(),
        out: None,
        is_newest: true,
        resume: false,
        keep: harness::trial::Keep::Failed,
        keep_bytes: KEEP_BYTES.0,
        command: arguments.command_line(),
        harness_version: version(),
    };
    let finished = execute(&request, cancel)?;
    let answer = answer(&finished.results);
    println!("{}\n", Format::Table.text(&answer.sentence));
    println!("{}", Format::Table.of(&answer.table));
    println!("{}", finished.directory.join(REPORT).display());
    show::kept(&finished.results, &finished.directory);
    show::leftovers(&finished.leftovers);
    Ok(match Outcome::of_run(&finished.results) {
        Outcome::AsPromised if !answer.is_proven => exit::INCONCLUSIVE,
        outcome => exit::of_outcome(outcome),
    })
}

/// Rewrites an error about the generated scenario in terms of the flags.
fn by_flags(error: Error) -> Error {
    let Error::Input(message) = error else { return error };
    let told = message.strip_prefix("scenario 'check': variant 1 (external): ").unwrap_or(&message);
    let told = told.replace("settings.", "--").replace("the scenario's directory", "the current directory");
    Error::Input(told)
}

/// What the inspection of a file cannot find out.
const LIMITS: &str = "This inspection cannot tell which writes are missing, whether the backup is from one moment, or \
                      whether it can be restored fast enough. To find out, test the commands that make and restore it, \
                      with --backup and --restore.";

fn check_file(file: &Path, arguments: &Check, cancel: &Cancel) -> Result<u8> {
    let unreadable = |error| Error::Input(format!("cannot read {}: {error}", file.display()));
    let (_, files) = registry::of_files();
    if let Some(why) = files.foreign(file).map_err(unreadable)? {
        println!("{} cannot be restored: {why}.", file.display());
        return Ok(exit::FELL_SHORT);
    }
    let workspace = Workspace::open(&arguments.place.directory())?;
    workspace.sweep()?;
    let work = workspace.work_directory("check")?;
    let launcher = Launcher::new(work.path(), cancel);
    let copy = |file: &Path, name: &str| -> Result<PathBuf> {
        files.bytes(file)?;
        let to = work.path().join(name);
        files.copy(&launcher, file, &to)?;
        Ok(to)
    };
    let backup = copy(file, "backup.sqlite")?;
    let live = arguments.database.as_deref().map(|live| copy(live, "live.sqlite")).transpose()?;
    let inspection = match files.inspect(&launcher, &backup, live.as_deref()) {
        Ok(inspection) => inspection,
        Err(Error::Bug(cause)) => {
            let cause = printable(&cause.to_string());
            println!("Inconclusive: the check of {} ended early: {cause}", file.display());
            return Ok(exit::INCONCLUSIVE);
        }
        Err(error) => return Err(error),
    };
    println!("{}\n", Format::Table.text(&sentence(file, &inspection)));
    println!("{}", Format::Table.of(&table(&inspection)));
    for line in inspection.differences.iter().flatten() {
        println!("differs from the live database: {}", printable(line));
    }
    println!("\n{}", Format::Table.text(LIMITS));
    Ok(code(&inspection))
}

fn code(inspection: &Inspection) -> u8 {
    let any = |result| inspection.checks.iter().any(|check| check.result == result);
    match (any(Some(Outcomes::Fail)), any(None)) {
        (true, _) => exit::FELL_SHORT,
        (false, true) => exit::INCONCLUSIVE,
        (false, false) => exit::SUCCESS,
    }
}

fn sentence(file: &Path, inspection: &Inspection) -> String {
    let file = file.display();
    let Inspection { tables, rows, differences, .. } = inspection;
    match code(inspection) {
        exit::FELL_SHORT => format!("{file} is damaged or incomplete: do not rely on it."),
        exit::INCONCLUSIVE => format!("Inconclusive: not everything in {file} could be checked."),
        _ => {
            let compared = match differences.as_deref() {
                None => "",
                Some([]) => ", identical to the live database now",
                Some(_) => "; it differs from the live database, as expected of an older backup",
            };
            let (of_tables, of_rows) = (plural(*tables, "table"), plural(*rows, "row"));
            format!("{file} is an intact database with {of_tables} and {of_rows}{compared}.")
        }
    }
}

fn plural(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

fn table(inspection: &Inspection) -> Table {
    let word = |result: Option<Outcomes>| match result {
        Some(Outcomes::Pass) => "passed",
        Some(Outcomes::Fail) => "FAILED",
        None => "not checked",
    };
    let rows = inspection.checks.iter().map(|check| {
        vec![check.name.clone(), word(check.result).to_owned(), printable(&check.lines.join("; "))]
    });
    Table::of_texts(["Check", "Result", "Findings"], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_list_of_words_unless_it_needs_a_shell() {
        assert_eq!(
            command_setting("./backup.sh --to=x a"),
            serde_json::json!(["./backup.sh", "--to=x", "a"])
        );
        for line in ["cp \"$DRILL_SOURCE\" x", "a | b", "a; b", ""] {
            assert_eq!(command_setting(line), serde_json::json!(line));
        }
    }
}
