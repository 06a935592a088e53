//! Plans for the user's own database.

use bytesize::ByteSize;
use engines::kinds::{App, Engine};
use engines::sqlite::own;
use machine::error::{Error, Result};
use model::dataset::{self, DatasetSpec, own_database};

use crate::scenario::{DatasetSection, Scenario};

/// Replaces the scenario's datasets with the user's own database, if the scenario has one.
///
/// # Errors
/// [`Error::Input`] when the file is not a database, or the scenario asks for anything other than SQLite with the
/// embedded application.
pub(super) fn adapt(scenario: &mut Scenario) -> Result<()> {
    let Some(file) = &scenario.database else {
        return Ok(());
    };
    let bytes = own::bytes(file)?;
    if scenario.subject.engines != [Engine::Sqlite] || scenario.subject.apps != [App::Embedded] {
        return Err(Error::Input(format!(
            "scenario '{}' cannot be used with your own database: choose a scenario with engines = [\"sqlite\"] and \
             apps = [\"embedded\"], such as 'quick'",
            scenario.name
        )));
    }
    scenario.dataset = DatasetSection { profile: own_database::PROFILE.into(), sizes: vec![ByteSize(bytes)] };
    // The verdicts that a scenario expects apply to generated datasets only.
    scenario.variants.iter_mut().for_each(|variant| variant.expect.clear());
    Ok(())
}

/// The size in bytes of a trial's database on SQLite, and its number of torrents.
///
/// # Errors
/// [`Error::Input`] for a profile that does not exist and for a size out of bounds.
pub(super) fn predicted(scenario: &Scenario, spec: &DatasetSpec) -> Result<(u64, u64)> {
    if scenario.database.is_some() {
        return Ok((own::predicted(spec.target_bytes), dataset::origin(spec)?.torrents()));
    }
    let generated = engines::sqlite::dataset::predicted(spec)?;
    Ok((generated.bytes, generated.torrents))
}
