//! `test`: every check and test of this repository, and a word on what could not be tested here.

use std::process::Command;

use harness::error::{Error, Result};
use harness::strategy::STRATEGIES;

use crate::arguments::workspace_root;

/// The steps, cheapest first; the first that fails ends it.
const STEPS: &[(&str, &[&str])] = &[
    ("formatting", &["fmt", "--all", "--check"]),
    (
        "lints",
        &["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"],
    ),
    ("tests", &["test", "--release", "--workspace"]),
    ("benches, once each", &["bench", "--workspace", "--benches", "--profile", "release", "--", "--test"]),
];

/// Runs all steps.
///
/// # Errors
/// The step that failed.
pub fn test() -> Result<u8> {
    for (name, arguments) in STEPS {
        eprintln!("== {name}: cargo {}", arguments.join(" "));
        let status = Command::new("cargo")
            .args(*arguments)
            .current_dir(workspace_root())
            .status()
            .map_err(|error| Error::Environment(format!("cannot start cargo: {error}")))?;
        if !status.success() {
            eprintln!("error: {name} failed ({status})");
            return Ok(crate::exit::FELL_SHORT);
        }
    }
    let mut complete = true;
    for strategy in STRATEGIES {
        let card = strategy.card();
        if let Some(missing) = card.tools.iter().find_map(|tool| tool.missing()) {
            complete = false;
            println!("NOT TESTED: {}, because {missing}", card.name);
        }
    }
    if complete {
        println!("all checks and tests passed, for every strategy");
    }
    Ok(crate::exit::SUCCESS)
}
