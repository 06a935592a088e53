//! `claims`: checks common claims about backups against recorded runs.

use machine::error::{Error, Result};

use crate::arguments::Claims;
use crate::{exit, results_file};

/// Writes the page with all claims and what these runs found.
///
/// # Errors
/// When a results file cannot be read, or the page cannot be written.
pub fn show(arguments: &Claims) -> Result<u8> {
    let runs = arguments.results.iter().map(|given| results_file::load(given)).collect::<Result<Vec<_>>>()?;
    std::fs::write(&arguments.out, reports::claims::markdown(&runs))
        .map_err(|error| Error::Input(format!("cannot write {}: {error}", arguments.out.display())))?;
    println!("{}", arguments.out.display());
    Ok(exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn claims(results: Vec<PathBuf>, out: PathBuf) -> Result<String> {
        show(&Claims { results, out: out.clone() })?;
        Ok(std::fs::read_to_string(out).unwrap())
    }

    #[test]
    fn a_page_is_made_from_published_runs_and_a_missing_run_is_named() {
        let published = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/published"));
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("claims.md");
        let run = published.join("sizes-1GiB");
        let page = claims(vec![run.clone(), run.join("results.json")], out.clone()).unwrap();
        assert!(page.contains("| One step for all pages | confirmed |"), "{page}");
        let Err(Error::Input(message)) = claims(vec![run, published.join("none.json")], out) else {
            panic!("there is no such run")
        };
        assert!(message.contains("none.json"), "{message}");
    }
}
