//! All destinations: one line for each. A destination's file enters it in the list of all, so that nothing else names
//! it.

mod directory;
mod rsync;
mod s3;
mod sftp;

use std::sync::LazyLock;

use machine::error::{Error, Result, unknown};

use super::configured::{ConfiguredDestination, DestinationChoice, DestinationEntry};

static DESTINATIONS: LazyLock<Vec<&DestinationEntry>> = LazyLock::new(|| {
    let mut all: Vec<&DestinationEntry> = inventory::iter::<DestinationEntry>().collect();
    all.sort_by_key(|entry| entry.name);
    all
});

/// All destinations, in alphabetical order.
pub fn all() -> &'static [&'static DestinationEntry] {
    &DESTINATIONS
}

/// The destination with this name.
///
/// # Errors
/// [`Error::Input`] with the known names.
pub fn named(name: &str) -> Result<&'static DestinationEntry> {
    let names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
    match names.iter().position(|known| *known == name) {
        Some(index) => Ok(all()[index]),
        None => Err(Error::Input(unknown("destination", name, &names))),
    }
}

/// The destination that was chosen, with its settings.
///
/// # Errors
/// [`Error::Input`] when there is none of this name, or its settings are wrong.
pub fn configure(choice: &DestinationChoice) -> Result<ConfiguredDestination> {
    named(&choice.name)?.configure(&choice.settings)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique_and_every_file_is_in_the_list() {
        let names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        let files =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/destination/registry").read_dir().unwrap();
        assert_eq!(all().len(), files.count());
    }

    #[test]
    fn every_setting_is_documented() {
        let host =
            "host = 'h'\nport = 22\nuser = 'u'\npath = '/p'\nidentity_file = 'i'\nknown_hosts_file = 'k'";
        let bucket = "bucket = 'b'\nendpoint = 'http://e'\nregion = 'r'\nprefix = 'p'\npart_mib = 5\nparallel = 1\n\
                      retries = 0\ncredentials_file = 'c'\nprofile = 'p'";
        for entry in all() {
            let given = match entry.name {
                "directory" => "path = '/p'",
                "s3" => bucket,
                _ => host,
            };
            let configured = entry.configure(&given.parse().unwrap()).unwrap();
            let mut documented: Vec<&str> = entry.settings.iter().map(|setting| setting.name).collect();
            documented.sort_unstable();
            let names: Vec<&str> = configured.settings().keys().map(String::as_str).collect();
            assert_eq!(names, documented, "{}", entry.name);
        }
    }
}
