//! Runs a plan and shows its progress.

use harness::run::{self, Finished, Request};
use machine::error::Result;
use machine::process::Cancel;

use crate::show::Progress;

/// Runs what is requested.
///
/// # Errors
/// Those of a run.
pub fn execute(request: &Request, cancel: &Cancel) -> Result<Finished> {
    let progress = Progress::new();
    let outcome = run::run(request, cancel, &|event| progress.show(event));
    progress.finish();
    outcome
}
