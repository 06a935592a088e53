//! The registry of profiles.

use machine::error::{Error, Result};

use super::profile::Profile;
use super::torrust_demo;

/// All profiles, in alphabetical order.
pub static PROFILES: &[Profile] = &[torrust_demo::PROFILE];

/// The profile with this name.
pub(crate) fn find(name: &str) -> Result<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let names = || PROFILES.iter().map(|profile| profile.name);
    let nearest =
        names().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let hint = match nearest {
        Some(nearest) if strsim::jaro_winkler(nearest, name) > 0.7 => format!("did you mean '{nearest}'? "),
        _ => String::new(),
    };
    let known = names().collect::<Vec<_>>().join(", ");
    Error::Input(format!("there is no dataset profile '{name}': {hint}known profiles are: {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_in_alphabetical_order_and_each_profile_is_described() {
        assert!(PROFILES.is_sorted_by(|a, b| a.name < b.name));
        for profile in PROFILES {
            assert!(profile.description.ends_with('.'), "{}", profile.name);
            assert_eq!(find(profile.name).unwrap().name, profile.name);
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_suggestions() {
        let error = |name| find(name).err().expect("no such profile").to_string();
        let near = error("torust-demo");
        assert!(near.contains("'torust-demo'") && near.contains("did you mean 'torrust-demo'?"), "{near}");
        let far = error("42");
        assert!(far.contains("'42'") && !far.contains("did you mean"), "{far}");
        assert!(far.contains("known profiles are: torrust-demo"), "{far}");
    }
}
