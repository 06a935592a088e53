//! `claims`: holds what the field claims against recorded runs.

use std::path::PathBuf;

use harness::error::{Error, Result};
use reports::record::Results;

use crate::arguments::Claims;
use crate::exit;

/// Writes the page of all claims, from these runs.
///
/// # Errors
/// When a results file cannot be read, or the page cannot be written.
pub fn show(arguments: &Claims) -> Result<u8> {
    let load = |given: &PathBuf| {
        Results::load(&crate::results_in(given)).map_err(|error| Error::Input(error.to_string()))
    };
    let runs = arguments.results.iter().map(load).collect::<Result<Vec<Results>>>()?;
    std::fs::write(&arguments.out, reports::claims::markdown(&runs))
        .map_err(|error| Error::Input(format!("cannot write {}: {error}", arguments.out.display())))?;
    println!("{}", arguments.out.display());
    Ok(exit::SUCCESS)
}
