//! All transforms: one line for each. A transform's file enters it in the list of all, so that nothing else names it.

mod age;
mod gzip;
mod zstd;

use std::sync::LazyLock;

use machine::error::{Error, Result, unknown};

use super::configured::{ConfiguredTransform, TransformChoice, TransformEntry};

static TRANSFORMS: LazyLock<Vec<&TransformEntry>> = LazyLock::new(|| {
    let mut all: Vec<&TransformEntry> = inventory::iter::<TransformEntry>().collect();
    all.sort_by_key(|entry| entry.name);
    all
});

/// All transforms, in alphabetical order.
pub fn all() -> &'static [&'static TransformEntry] {
    &TRANSFORMS
}

/// The transform with this name.
///
/// # Errors
/// [`Error::Input`] with the known names.
pub fn named(name: &str) -> Result<&'static TransformEntry> {
    let names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
    match names.iter().position(|known| *known == name) {
        Some(index) => Ok(all()[index]),
        None => Err(Error::Input(unknown("transform", name, &names))),
    }
}

/// The transform that was chosen, with its settings.
///
/// # Errors
/// [`Error::Input`] when there is none of this name, or its settings are wrong.
pub fn configure(choice: &TransformChoice) -> Result<ConfiguredTransform> {
    named(&choice.name)?.configure(&choice.settings)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn names_are_unique_and_every_setting_is_documented() {
        let names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        for entry in all() {
            let documented: Vec<&str> = entry.settings.iter().map(|setting| setting.name).collect();
            let defaults = entry.configure(&Settings::new()).unwrap();
            for setting in defaults.settings().keys() {
                assert!(documented.contains(&setting.as_str()), "{}: {setting}", entry.name);
            }
            assert_eq!(defaults.label(), entry.name);
        }
    }

    #[test]
    fn every_file_is_in_the_list() {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transform/registry").read_dir().unwrap();
        assert_eq!(all().len(), files.count());
    }
}
