//! `init`: writes a commented scenario that the user then edits.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use engines::engine::Template;
use engines::registry;
use harness::plan::Plan;
use harness::scenario::{Overrides, Scenario};
use machine::error::{Error, Result};
use machine::this_program;
use serde_json::Value;

use crate::arguments::Init;
use crate::arguments::quoting::quoted;
use crate::exit;
use crate::script_check::command_setting;

const HEAD: &str = include_str!("init/head.toml");
const DATABASE: &str = include_str!("init/database.toml");
const SIZES: &str = include_str!("init/sizes.toml");
const LOAD: &str = include_str!("init/load.toml");
const COMMANDS: &str = include_str!("init/commands.toml");

/// Checks that the scenario can be planned, writes it, and prints the next commands.
///
/// # Errors
/// [`Error::Input`] when the file exists already or cannot be written, or when the scenario cannot be planned because a
/// script or database that it names does not exist.
pub fn init(arguments: &Init) -> Result<u8> {
    let file = &arguments.file;
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::Input(format!("{} exists already: choose another name", file.display()))
        }
        _ => Error::Input(format!("cannot write {}: {error}", file.display())),
    };
    if file.exists() {
        return Err(refused(std::io::ErrorKind::AlreadyExists.into()));
    }
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let text = text(arguments, directory)?;
    let mut scenario = Scenario::parse("new", &text)
        .map_err(|message| anyhow::anyhow!("the generated scenario is invalid: {message}"))?;
    directory.clone_into(&mut scenario.directory);
    scenario.database = scenario.database.map(|database| directory.join(database));
    Plan::new(scenario, &Overrides::default())?;
    File::create_new(file).and_then(|mut file| file.write_all(text.as_bytes())).map_err(refused)?;
    println!("{}", file.display());
    let name = quoted(&file.to_string_lossy());
    println!("show what it would run:  {} plan {name}", this_program::name());
    println!("run it:                  {} run {name}", this_program::name());
    Ok(exit::SUCCESS)
}

/// The text of the scenario in this directory.
fn text(arguments: &Init, directory: &Path) -> Result<String> {
    let Template { subject, variants } = *arguments.engine.unwrap_or(registry::DEFAULT).template();
    let has_commands = arguments.backup.is_some();
    let variants = if has_commands { COMMANDS } else { variants };
    let (database, sizes) = if arguments.database.is_some() { (DATABASE, "") } else { ("", SIZES) };
    let template = [HEAD, database, subject, sizes, LOAD, variants].concat();
    let toml = |value: &Value| value.to_string();
    let command =
        |given: &Option<String>| given.as_deref().map_or(String::new(), |line| toml(&command_setting(line)));
    let database = match &arguments.database {
        Some(database) if directory == Path::new(".") => database.clone(),
        Some(database) => std::path::absolute(database)
            .map_err(|error| Error::Input(format!("cannot use {}: {error}", database.display())))?,
        None => Default::default(),
    };
    let description = match (has_commands, arguments.database.is_some()) {
        (true, _) => "Whether our own commands restore the database.",
        (false, true) => "Which strategies restore our own database, and what they cost.",
        (false, false) => "Which strategies restore a database, and what they cost.",
    };
    let name = arguments.file.file_name().unwrap_or_default().to_string_lossy();
    Ok(template
        .replace("@program@", this_program::name())
        .replace("@file@", &quoted(&name))
        .replace("@description@", description)
        .replace("@database@", &toml(&database.to_string_lossy().into()))
        .replace("@backup@", &command(&arguments.backup))
        .replace("@restore@", &command(&arguments.restore)))
}
