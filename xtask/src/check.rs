//! `test`: every check and test of this repository, and a word on what could not be tested here.

use std::process::Command;

use harness::docker;
use harness::error::{Error, Result};
use harness::file_system::FileSystem;
use harness::process::{Cancel, Launcher};
use harness::scenario::Engine;
use harness::strategy::STRATEGIES;
use harness::workspace::Workspace;

use crate::arguments::{Test, default_directory, workspace_root};

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

/// Tests that need Docker look for this variable, and do nothing where it is set.
const WITHOUT_DOCKER: &str = "BACKUP_DRILL_WITHOUT_DOCKER";

/// Runs all steps. Without Docker it does so only when that is asked for.
///
/// # Errors
/// The step that failed, or that there is no Docker.
pub fn test(arguments: &Test) -> Result<u8> {
    if !arguments.without_docker {
        docker::server_version().map_err(|error| {
            Error::Environment(format!(
                "{error}; with --without-docker everything that needs no container is tested"
            ))
        })?;
    }
    for (name, words) in STEPS {
        eprintln!("== {name}: cargo {}", words.join(" "));
        let mut command = Command::new("cargo");
        command.args(*words).current_dir(workspace_root());
        if arguments.without_docker {
            command.env(WITHOUT_DOCKER, "1");
        }
        let status =
            command.status().map_err(|error| Error::Environment(format!("cannot start cargo: {error}")))?;
        if !status.success() {
            eprintln!("error: {name} failed ({status})");
            return Ok(crate::exit::FELL_SHORT);
        }
    }
    let untested = untested(arguments.without_docker)?;
    if untested.is_empty() {
        println!("all checks and tests passed, for every strategy");
    }
    for what in untested {
        println!("NOT TESTED: {what}");
    }
    Ok(crate::exit::SUCCESS)
}

/// What the tests passed over on this machine.
fn untested(without_docker: bool) -> Result<Vec<String>> {
    let mut untested = Vec::new();
    let work = Workspace::open(&default_directory())?.work_directory("test")?;
    let launcher = Launcher::new(work.path(), &Cancel::default());
    for kind in FileSystem::MADE {
        if let Some(obstacle) = kind.obstacle(&launcher)? {
            untested.push(format!("what needs {} for a trial, because {obstacle}", kind.name()));
        }
    }
    if without_docker {
        let why = "because --without-docker was given";
        untested.push(format!("containers and images, {why}"));
        untested.push(format!("the tracker as an application, {why}"));
    }
    for strategy in STRATEGIES {
        let card = strategy.card();
        let contained = !card.engines.contains(&"sqlite") || strategy.image(Engine::Sqlite).is_some();
        if without_docker && contained {
            untested.push(format!("{}, because --without-docker was given", card.name));
        } else if let Some(missing) = card.tools.iter().find_map(|tool| tool.missing()) {
            untested.push(format!("{}, because {missing}", card.name));
        } else if without_docker && card.engines.contains(&"mysql") {
            untested.push(format!("{} on mysql, because --without-docker was given", card.name));
        }
    }
    Ok(untested)
}
