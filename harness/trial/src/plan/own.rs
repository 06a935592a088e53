//! Plans for the user's own database.

use bytesize::ByteSize;
use engines::applications::App;
use engines::engine::Engine;
use engines::registry;
use machine::error::{Error, Result};
use model::dataset::{DatasetSpec, own_database};

use crate::scenario::{DatasetSection, Scenario};

/// Replaces the scenario's datasets with the user's own database, if the scenario has one.
///
/// # Errors
/// [`Error::Input`] when the file is not a database, or the scenario asks for another engine than that of the file, or
/// another application than the embedded one.
pub(super) fn adapt(scenario: &mut Scenario) -> Result<()> {
    let Some(file) = &scenario.database else {
        return Ok(());
    };
    let (engine, files) = registry::of_files();
    let bytes = files.bytes(file)?;
    if scenario.subject.engines != [engine] || scenario.subject.apps != [App::Embedded] {
        return Err(Error::Input(format!(
            "scenario '{}' cannot be used with your own database: choose a scenario with engines = [\"{}\"] and apps = \
             [\"{}\"], such as 'quick'",
            scenario.name,
            engine.name(),
            App::Embedded.name()
        )));
    }
    scenario.dataset = DatasetSection { profile: own_database::PROFILE.into(), sizes: vec![ByteSize(bytes)] };
    // The verdicts that a scenario expects apply to generated datasets only.
    scenario.variants.iter_mut().for_each(|variant| variant.expect.clear());
    Ok(())
}

/// The size in bytes of a trial's database on this engine.
///
/// # Errors
/// [`Error::Input`] for a profile that does not exist and for a size out of bounds.
pub(super) fn predicted_bytes(scenario: &Scenario, engine: &dyn Engine, spec: &DatasetSpec) -> Result<u64> {
    match (&scenario.database, engine.files()) {
        (Some(_), Some(files)) => Ok(files.adopted_bytes(spec.target_bytes)),
        _ => Ok(engine.predicted(spec)?.bytes),
    }
}
