//! Runs the trials of a proof, and writes its result.

use std::path::PathBuf;

use clap::Args;
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

/// Where a proof works, and where its result goes.
#[derive(Args)]
pub(super) struct Output {
    /// Also write the result to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Output {
    /// Prints the result, and writes it to the file.
    pub(super) fn publish(&self, text: &str) -> Result<()> {
        print!("{text}");
        let write = |file: &PathBuf| {
            std::fs::write(file, text)
                .map_err(|error| Error::Input(format!("cannot write {}: {error}", file.display())))
        };
        self.out.as_ref().map_or(Ok(()), write)
    }
}
