//! Where scenarios come from: the user's files, and the files that are shipped with this program.
//!
//! Shipped scenarios are compiled in. In a checkout they are read from their files, so that a change needs no build.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use include_dir::{Dir, include_dir};
use machine::error::{Error, Result, unknown};
use machine::this_program;

use super::Scenario;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../scenarios");
static EXAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../examples");
/// The path prefix with which a shipped scenario names an example file.
const EXAMPLES_PATH: &str = "../examples/";

impl Scenario {
    /// Reads a scenario, given the path of a file or the name of a shipped scenario. Example files that a compiled-in
    /// scenario names are written below `directory`.
    ///
    /// # Errors
    /// [`Error::Input`] with the file, the position in it and the cause.
    pub fn load(name_or_path: &str, directory: &Path) -> Result<Scenario> {
        let checkout = this_program::checkout();
        let shipped = |root: &PathBuf| root.join("scenarios").join(format!("{name_or_path}.toml"));
        // A path relative to the root of the checkout works from any directory in it.
        let beside = |root: &PathBuf| root.join(name_or_path);
        let files =
            [Some(name_or_path.into()), checkout.as_ref().map(shipped), checkout.as_ref().map(beside)];
        if let Some(file) = files.into_iter().flatten().find(|file| file.is_file()) {
            return Scenario::read(&file);
        }
        let known = names();
        if known.iter().any(|name| name == name_or_path) {
            return Scenario::compiled_in(name_or_path, directory);
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Err(Error::Input(if name_or_path.contains('/') || name_or_path.ends_with(".toml") {
            format!(
                "file not found: {name_or_path}; give the path of a scenario file, or the name of a shipped \
                 scenario: {}",
                known.join(", ")
            )
        } else {
            unknown("scenario", name_or_path, &known)
        }))
    }

    /// All shipped scenarios, sorted by name.
    ///
    /// # Errors
    /// [`Error::Input`] when one cannot be read.
    pub fn shipped() -> Result<Vec<Scenario>> {
        let parse = |name: &String| {
            if let Some(root) = this_program::checkout() {
                return Scenario::read(&root.join("scenarios").join(format!("{name}.toml")));
            }
            Scenario::parse(name, text(name)?).map_err(Error::Input)
        };
        names().iter().map(parse).collect()
    }

    fn read(file: &Path) -> Result<Scenario> {
        let refused = |error| Error::Input(format!("cannot read the scenario {}: {error}", file.display()));
        let text = std::fs::read_to_string(file).map_err(refused)?;
        let mut scenario = Scenario::parse(&stem(file), &text)
            .map_err(|message| Error::Input(format!("{}: {message}", file.display())))?;
        let file = file.canonicalize().context("a file that was read has a path")?;
        file.parent().context("the path of a file has a parent")?.clone_into(&mut scenario.directory);
        scenario.database = scenario.database.map(|database| scenario.directory.join(database));
        Ok(scenario)
    }

    fn compiled_in(name: &str, directory: &Path) -> Result<Scenario> {
        let text = text(name)?;
        let mut scenario = Scenario::parse(name, text).map_err(Error::Input)?;
        if text.contains(EXAMPLES_PATH) {
            scenario.directory = write_examples(&directory.join("shipped"))?;
        }
        Ok(scenario)
    }
}

/// Names of the shipped scenarios, sorted.
fn names() -> Vec<String> {
    let mut names: Vec<String> = match this_program::checkout() {
        Some(root) => {
            let entries = std::fs::read_dir(root.join("scenarios")).into_iter().flatten().flatten();
            let files = entries.map(|entry| entry.path());
            files
                .filter(|file| file.extension().is_some_and(|end| end == "toml"))
                .map(|file| stem(&file))
                .collect()
        }
        None => SCENARIOS.files().map(|file| stem(file.path())).collect(),
    };
    names.sort();
    names
}

fn stem(file: &Path) -> String {
    file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// The compiled-in text of a shipped scenario.
fn text(name: &str) -> Result<&'static str> {
    let file = SCENARIOS.get_file(format!("{name}.toml")).context("a shipped scenario is compiled in")?;
    Ok(file.contents_utf8().context("a scenario is text")?)
}

/// Writes the examples to a directory next to the returned one. Scenarios name the examples relative to the returned
/// directory.
fn write_examples(directory: &Path) -> Result<PathBuf> {
    let refused = |error: std::io::Error| {
        Error::Input(format!(
            "cannot write example files to {}: {error}; choose another directory with --dir",
            directory.display()
        ))
    };
    let (scenarios, examples) = (directory.join("scenarios"), directory.join("examples"));
    [&scenarios, &examples].into_iter().try_for_each(std::fs::create_dir_all).map_err(refused)?;
    for file in EXAMPLES.files() {
        let path = examples.join(file.path());
        std::fs::write(&path, file.contents()).map_err(refused)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(refused)?;
    }
    scenarios.canonicalize().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::scenario::Overrides;

    #[test]
    fn every_file_of_the_scenarios_and_the_examples_is_compiled_in() {
        let root = this_program::checkout().expect("cargo runs the tests");
        for (directory, compiled_in) in [("scenarios", &SCENARIOS), ("examples", &EXAMPLES)] {
            let mut count = 0;
            for entry in std::fs::read_dir(root.join(directory)).unwrap().flatten() {
                let file = compiled_in.get_file(entry.file_name().to_str().unwrap());
                let content = file.map(|file| file.contents().to_vec());
                assert_eq!(content, std::fs::read(entry.path()).ok(), "{}", entry.path().display());
                count += 1;
            }
            assert_eq!(count, compiled_in.files().count(), "{directory}");
        }
    }

    #[test]
    fn every_shipped_scenario_can_be_planned_from_its_file_and_from_its_compiled_in_text() {
        let directory = tempfile::tempdir().unwrap();
        assert!(names().len() > 10);
        for name in names() {
            let of_file = Scenario::load(&name, directory.path()).unwrap();
            let compiled_in = Scenario::compiled_in(&name, directory.path()).unwrap();
            let ids = |scenario| {
                let plan = Plan::new(scenario, &Overrides::default()).unwrap();
                plan.trials.into_iter().map(|trial| trial.id).collect::<Vec<_>>()
            };
            assert_eq!(ids(of_file), ids(compiled_in), "{name}");
        }
    }
}
