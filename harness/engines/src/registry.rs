//! All engines.

use std::fmt;

use machine::error::unknown;
use machine::worker::JobEntry;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::applications::embedded::Application;
use crate::applications::tracker::image::TRACKER;
use crate::database::{Digest, OtherClient, Unwritten, Verify};
use crate::engine::Engine;
use crate::files::FileEngine;
use crate::images::{ImageKind, SIDECAR, TOOLS};
use crate::mariadb::MARIADB;
use crate::mode::Mode;
use crate::mysql::MYSQL;
use crate::sqlite::Sqlite;

/// All engines, in alphabetical order.
pub const ENGINES: &[&dyn Engine] = &[&MARIADB, &MYSQL, &Sqlite];

/// The engine of a scenario that names none.
pub const DEFAULT: &dyn Engine = &Sqlite;

/// The engine with this name.
///
/// # Errors
/// A message with the known names.
pub fn named(name: &str) -> Result<&'static dyn Engine, String> {
    let known = ENGINES.iter().copied().find(|engine| engine.name() == name);
    known.ok_or_else(|| {
        let names: Vec<&str> = ENGINES.iter().map(|engine| engine.name()).collect();
        unknown("engine", name, &names)
    })
}

/// Looks up a name while it is read, so that an error has its place.
struct NameVisitor<T>(fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for NameVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<T, E> {
        (self.0)(name).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for &'static dyn Engine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<&'static dyn Engine, D::Error> {
        deserializer.deserialize_str(NameVisitor(named))
    }
}

/// The engine whose databases are single files, such as the user's own, and what it does with them.
///
/// # Panics
/// Without such an engine.
pub fn of_files() -> (&'static dyn Engine, &'static dyn FileEngine) {
    let found = ENGINES.iter().find_map(|engine| Some((*engine, engine.files()?)));
    found.expect("one of the engines keeps its databases in files")
}

/// The mode with this name, of any engine.
///
/// # Errors
/// A message with the known names.
pub fn mode_named(name: &str) -> Result<Mode, String> {
    let modes = || ENGINES.iter().flat_map(|engine| engine.modes());
    modes().find(|mode| mode.name == name).copied().ok_or_else(|| {
        let mut names: Vec<&str> = modes().map(|mode| mode.name).collect();
        names.sort_unstable();
        unknown("journal mode", name, &names)
    })
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        deserializer.deserialize_str(NameVisitor(mode_named))
    }
}

/// The images of subjects: servers of engines, and the tracker.
pub fn subject_images() -> Vec<&'static ImageKind> {
    ENGINES.iter().filter_map(|engine| engine.image()).chain([&TRACKER]).collect()
}

/// All images.
pub fn images() -> Vec<&'static ImageKind> {
    subject_images().into_iter().chain([&TOOLS, &SIDECAR]).collect()
}

/// The image with this name.
///
/// # Errors
/// A message with the known names.
pub fn image_named(name: &str) -> Result<&'static ImageKind, String> {
    let known = images();
    known.iter().copied().find(|image| image.name == name).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|image| image.name).collect();
        unknown("image", name, &names)
    })
}

/// The jobs that are the same for all engines.
const JOBS: &[JobEntry] = &[
    JobEntry::of::<Application>(),
    JobEntry::of::<Digest>(),
    JobEntry::of::<OtherClient>(),
    JobEntry::of::<Unwritten>(),
    JobEntry::of::<Verify>(),
];

/// The jobs that engines and applications do in worker processes.
pub fn jobs() -> impl Iterator<Item = &'static JobEntry> {
    JOBS.iter().chain(ENGINES.iter().flat_map(|engine| engine.jobs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_in_order_and_read_back_by_name() {
        let names: Vec<&str> = ENGINES.iter().map(|engine| engine.name()).collect();
        assert!(names.is_sorted(), "{names:?}");
        for engine in ENGINES.iter().copied() {
            let text = serde_json::to_string(engine).unwrap();
            assert_eq!(serde_json::from_str::<&'static dyn Engine>(&text).unwrap(), engine);
            for mode in engine.modes() {
                let text = serde_json::to_string(mode).unwrap();
                assert_eq!(serde_json::from_str::<Mode>(&text).unwrap(), *mode);
            }
        }
        let error = serde_json::from_str::<&'static dyn Engine>("\"sqlit\"").unwrap_err().to_string();
        assert!(
            error.contains("unknown engine 'sqlit' (did you mean 'sqlite'?): expected one of "),
            "{error}"
        );
    }

    #[test]
    fn each_image_has_its_own_name_and_tag_and_records_the_version_of_its_program() {
        let images = images();
        for (number, image) in images.iter().enumerate() {
            assert!(!images[..number].contains(image), "{image:?}");
            let asked: Vec<&str> = image.recipe.versions.iter().map(|(program, _)| *program).collect();
            assert!(image.program.as_ref().is_none_or(|program| asked.contains(&program.name)), "{image:?}");
        }
        let mut tags: Vec<String> = subject_images().iter().map(|image| image.recipe.tag()).collect();
        tags.push(TOOLS.recipe.tag());
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), images.len() - 1, "the sidecar has the recipe of the tools");
    }
}
