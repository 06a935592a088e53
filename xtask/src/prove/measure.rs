//! Runs the trials of a proof, and writes its result.

use std::path::Path;

use harness::plan::Plan;
use harness::run::{self, Finished};
use harness::trial::Keep;
use machine::error::{Error, Result};
use machine::process::Cancel;
use reports::record::Results;

use crate::arguments::place::Place;
use crate::arguments::version::version;
use crate::execute::execute;

/// Runs a plan whose evidence is not kept.
pub(super) fn measure(plan: Plan, place: &Place, command: &str, cancel: &Cancel) -> Result<Results> {
    Ok(measure_keeping(Keep::None, plan, place, command, cancel)?.results)
}

/// Runs a plan, and keeps evidence without a limit.
pub(super) fn measure_keeping(
    keep: Keep,
    plan: Plan,
    place: &Place,
    command: &str,
    cancel: &Cancel,
) -> Result<Finished> {
    let request = run::Request {
        plan,
        root: place.directory(),
        out: None,
        is_newest: false,
        resume: false,
        keep,
        keep_bytes: u64::MAX,
        command: format!("{} {command}", machine::this_program::name()),
        harness_version: version(),
    };
    execute(&request, cancel)
}

/// Prints the result, and writes it to a file.
pub(super) fn publish(text: &str, file: Option<&Path>) -> Result<()> {
    print!("{text}");
    let write = |file: &Path| {
        std::fs::write(file, text)
            .map_err(|error| Error::Input(format!("cannot write {}: {error}", file.display())))
    };
    file.map_or(Ok(()), write)
}
