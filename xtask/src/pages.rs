//! `claims` and `defects`: pages that are generated from the records of several runs.

use std::path::PathBuf;

use machine::error::{Error, Result};
use reports::record::Results;

use crate::arguments::RunsPage;
use crate::{exit, results_file};

/// Writes a page about these runs to the file that was given, or else to the one named `name`.
///
/// # Errors
/// When a results file cannot be read, or the page cannot be written.
pub fn write(arguments: &RunsPage, name: &str, page: fn(&[Results]) -> String) -> Result<u8> {
    let runs = arguments.results.iter().map(|given| results_file::load(given)).collect::<Result<Vec<_>>>()?;
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from(name));
    std::fs::write(&out, page(&runs))
        .map_err(|error| Error::Input(format!("cannot write {}: {error}", out.display())))?;
    println!("{}", out.display());
    Ok(exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(results: Vec<PathBuf>, out: PathBuf) -> Result<String> {
        write(&RunsPage { results, out: Some(out.clone()) }, "claims.md", reports::claims::markdown)?;
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
