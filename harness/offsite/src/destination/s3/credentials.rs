//! The credentials of S3, from where every tool of AWS takes them: the environment, or a profile.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use machine::error::{Error, Result};

/// A key, which is never printed, serialised or passed to a command.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What the environment says.
pub(crate) struct Found {
    /// `None` when the credentials come from a service of the machine, which the client asks itself: a web identity
    /// token, or that of a container.
    pub(crate) credentials: Option<Credentials>,
    /// The region, if one is named.
    pub(crate) region: Option<String>,
}

/// Variables that say that a service of the machine gives the credentials.
const SERVICES: [&str; 3] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Which profile to take, instead of what the environment says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chosen<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) profile: Option<&'a str>,
}

/// Finds the credentials of this process. What is chosen comes before the environment.
///
/// # Errors
/// [`Error::Environment`] when there are none.
pub(crate) fn find(chosen: Chosen) -> Result<Found> {
    find_with(chosen, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The key of the profile `default` in a file.
///
/// # Errors
/// [`Error::Environment`] when there is none.
pub(crate) fn of_file(file: &Path) -> Result<Credentials> {
    let found = find_with(Chosen { file: Some(file), profile: None }, &|_| None)?;
    found.credentials.ok_or_else(|| Error::Environment(format!("there is no key in {}", file.display())))
}

fn find_with(chosen: Chosen, variable: &dyn Fn(&str) -> Option<String>) -> Result<Found> {
    let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
    let file = |name: &str, default: &str| variable(name).map_or_else(|| home.join(default), PathBuf::from);
    let credentials_file =
        chosen.file.map_or_else(|| file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), Path::to_owned);
    let config_file = file("AWS_CONFIG_FILE", ".aws/config");
    let profile = chosen.profile.map(str::to_owned).or_else(|| variable("AWS_PROFILE"));
    let name = profile.as_deref().unwrap_or("default");
    let config_section = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let config = section(&config_file, &config_section);
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let region = region.or_else(|| config.get("region").cloned());
    let given = |lookup: &dyn Fn(&str) -> Option<String>| {
        Some(Credentials {
            access_key_id: lookup("aws_access_key_id")?,
            secret_access_key: lookup("aws_secret_access_key")?,
            session_token: lookup("aws_session_token"),
        })
    };
    let from_profile = || {
        let credentials = section(&credentials_file, name);
        given(&|key| credentials.get(key).or_else(|| config.get(key)).cloned())
    };
    let from_environment = || given(&|key| variable(&key.to_ascii_uppercase()));
    let credentials = match chosen {
        Chosen { file: None, profile: None } => from_environment().or_else(from_profile),
        _ => from_profile(),
    };
    if credentials.is_none() && !SERVICES.iter().any(|service| variable(service).is_some()) {
        return Err(Error::Environment(format!(
            "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a \
             profile with both; there is none of the name '{name}' in {}",
            credentials_file.display()
        )));
    }
    Ok(Found { credentials, region })
}

/// The values of a section; nothing when it or the file does not exist.
fn section(file: &Path, name: &str) -> HashMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut is_in = false;
    let mut values = HashMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_in = header.trim() == name;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_in && !line.starts_with('#')) {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Found> {
        find_with(Chosen::default(), &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_comes_before_the_profile() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n# [other]\n[other]\n\
                           aws_access_key_id=C\naws_secret_access_key=D=\naws_session_token=E\n";
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        std::fs::write(home.path().join(".aws/config"), "[profile other]\nregion = eu-central-1\n").unwrap();
        let home = ("HOME", home.path().to_str().unwrap());
        let profile = found(&[home, ("AWS_PROFILE", "other")]).unwrap();
        assert_eq!(profile.region.as_deref(), Some("eu-central-1"));
        let key = profile.credentials.unwrap();
        assert_eq!((key.access_key_id.as_str(), key.secret_access_key.as_str()), ("C", "D="));
        assert_eq!(key.session_token.as_deref(), Some("E"));
        assert_eq!(format!("{key:?}"), "Credentials");
        assert_eq!(found(&[home]).unwrap().credentials.unwrap().access_key_id, "A");
        let keys = [("AWS_ACCESS_KEY_ID", "F"), ("AWS_SECRET_ACCESS_KEY", "G")];
        assert_eq!(found(&[home, keys[0], keys[1]]).unwrap().credentials.unwrap().access_key_id, "F");
        let missing = found(&[home, ("AWS_PROFILE", "third")]).err().unwrap().to_string();
        assert!(missing.contains("'third'"), "{missing}");
        let service = found(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")]).unwrap();
        assert!(service.credentials.is_none());
    }
}
