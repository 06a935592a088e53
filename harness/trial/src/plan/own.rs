//! Plans for a database of the user's own.

use bytesize::ByteSize;
use engines::kinds::{App, Engine};
use engines::sqlite::own;
use machine::error::{Error, Result};
use model::dataset::{self, DatasetSpec, renamed};

use crate::scenario::{DatasetSection, Scenario};

/// Puts the scenario's own database, if it has one, in the place of its datasets.
///
/// # Errors
/// [`Error::Input`] when the file is no database, or the scenario asks for more than SQLite with the embedded
/// application.
pub(super) fn adapt(scenario: &mut Scenario) -> Result<()> {
    let Some(file) = &scenario.database else {
        return Ok(());
    };
    let bytes = own::bytes(file)?;
    if scenario.subject.engines != [Engine::Sqlite] || scenario.subject.apps != [App::Embedded] {
        return Err(Error::Input(format!(
            "scenario '{}' is not for a database of your own: --database takes one whose engines are [\"sqlite\"] and \
             whose apps are [\"embedded\"], such as 'quick'",
            scenario.name
        )));
    }
    scenario.dataset = DatasetSection { profile: renamed::PROFILE.into(), sizes: vec![ByteSize(bytes)] };
    // What a scenario expects, it expects on its own databases.
    scenario.variants.iter_mut().for_each(|variant| variant.expect.clear());
    Ok(())
}

/// Bytes that the database of a trial will have on SQLite, and its torrents.
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
