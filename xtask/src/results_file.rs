//! Finds and loads the results of runs.

use std::path::{Path, PathBuf};

use harness::run::{LATEST, RESULTS};
use machine::error::{Error, Result};
use reports::record::Results;

use crate::arguments::place::Place;

/// The results file, given by its path or its directory, or that of the newest run.
pub fn given_or_newest(given: Option<&PathBuf>, place: &Place) -> PathBuf {
    match given {
        Some(given) => in_directory(given),
        None => in_directory(&place.directory().join(LATEST)),
    }
}

/// The results file itself, or the one in the given directory.
fn in_directory(given: &Path) -> PathBuf {
    if given.is_dir() { given.join(RESULTS) } else { given.to_owned() }
}

/// Loads a results file, given by its path or by its directory.
///
/// # Errors
/// [`Error::Input`] when it cannot be read.
pub fn load(given: &Path) -> Result<Results> {
    Results::load(&in_directory(given)).map_err(|error| Error::Input(error.to_string()))
}
