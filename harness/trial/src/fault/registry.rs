//! All faults: one line for each. A fault's file enters it in the list of all, so that nothing else names it.

mod bit_flip;
mod clock_step;
mod destination_full;
mod destination_read_only;
mod kill_database;
mod kill_strategy;
mod long_transaction;
mod memory_limit;
mod missing_piece;
mod network_cut;
mod power_cut;
mod power_cut_at_success;
mod schema_change;
mod slow_disk;
mod stale_companion;
mod truncated;
mod two_at_once;
mod wrong_key;
mod wrong_password;

use std::sync::LazyLock;

use machine::error::{Error, Result, unknown};

use super::configured::FaultEntry;

static FAULTS: LazyLock<Vec<&FaultEntry>> = LazyLock::new(|| {
    let mut all: Vec<&FaultEntry> = inventory::iter::<FaultEntry>().collect();
    all.sort_by_key(|fault| fault.name);
    all
});

/// All faults, in alphabetical order.
pub fn all() -> &'static [&'static FaultEntry] {
    &FAULTS
}

/// The fault with this name.
///
/// # Errors
/// [`Error::Input`] with the known names.
pub fn named(name: &str) -> Result<&'static FaultEntry> {
    let names: Vec<&str> = all().iter().map(|fault| fault.name).collect();
    match names.iter().position(|known| *known == name) {
        Some(index) => Ok(all()[index]),
        None => Err(Error::Input(unknown("fault", name, &names))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique_and_every_setting_is_documented() {
        let names: Vec<&str> = all().iter().map(|fault| fault.name).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        for fault in all() {
            let defaults = fault.with_defaults();
            let mut documented: Vec<&str> = fault.settings.iter().map(|(name, _)| *name).collect();
            documented.sort_unstable();
            let names: Vec<&str> = defaults.settings().keys().map(String::as_str).collect();
            assert_eq!(names, documented, "{}", fault.name);
            assert_eq!(defaults.label(), fault.name);
        }
    }

    #[test]
    fn every_file_is_in_the_list() {
        let files =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fault/registry").read_dir().unwrap().flatten();
        assert_eq!(all().len(), files.filter(|file| file.path().is_file()).count());
    }
}
