//! Which daemon the `docker` command uses: rootless Docker, Docker Desktop and Colima set theirs as a Docker context.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

/// The environment variable with the daemon's address, which all clients read.
const HOST: &str = "DOCKER_HOST";
/// The context of the daemon's default address.
const USUAL: &str = "default";

/// A context with the address of its daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub name: String,
    pub host: String,
}

impl Context {
    /// Containers mount directories of this machine, so their daemon must be on it.
    pub fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }
}

static CURRENT: OnceLock<Result<Option<Context>, String>> = OnceLock::new();

/// The current context, if it is not the default one; an error message if it cannot be read.
pub(super) fn current() -> &'static Result<Option<Context>, String> {
    CURRENT.get_or_init(|| {
        if std::env::var_os(HOST).is_some() {
            return Ok(None);
        }
        let named = std::env::var("DOCKER_CONTEXT").ok().filter(|name| !name.is_empty());
        match directory() {
            Some(directory) => read(&directory, named),
            None => Ok(None),
        }
    })
}

/// Uses the current context of the `docker` command, by setting the environment variable that all clients read.
/// Programs that are started later inherit it, and use the same daemon. Call this once, at the start of the program,
/// while no other thread runs.
pub fn follow_context() {
    if let Ok(Some(context)) = current()
        && context.is_local()
    {
        // SAFETY: no other thread runs that could read the environment.
        unsafe { std::env::set_var(HOST, &context.host) };
    }
}

fn directory() -> Option<PathBuf> {
    let own = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))
}

/// The part that is needed of the file in which the command line stores a context.
#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: Value,
}

fn read(directory: &Path, named: Option<String>) -> Result<Option<Context>, String> {
    let name = named.map_or_else(|| configured(&directory.join("config.json")), |name| Ok(Some(name)))?;
    let Some(name) = name.filter(|name| !name.is_empty() && name != USUAL) else {
        return Ok(None);
    };
    let all = directory.join("contexts/meta");
    let entries = std::fs::read_dir(&all).into_iter().flatten().flatten();
    let mut metas = entries.filter_map(|entry| {
        let text = std::fs::read(entry.path().join("meta.json")).ok()?;
        serde_json::from_slice::<Meta>(&text).ok()
    });
    let found = metas.find(|meta| meta.name == name);
    let host = found.as_ref().and_then(|meta| meta.endpoints.get("docker")?.get("Host")?.as_str());
    match host {
        Some(host) => Ok(Some(Context { name, host: host.to_owned() })),
        None => Err(format!(
            "docker's current context is '{name}', and {} has no address for it: select another with 'docker context use'",
            all.display()
        )),
    }
}

/// The context that docker's configuration file names.
fn configured(file: &Path) -> Result<Option<String>, String> {
    let unreadable =
        |cause: String| format!("docker's configuration {} cannot be read: {cause}", file.display());
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let configuration: Value =
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    Ok(configuration.get("currentContext").and_then(Value::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_is_the_one_that_the_command_line_uses() {
        let directory = tempfile::tempdir().unwrap();
        let read = |named: Option<&str>| read(directory.path(), named.map(str::to_owned));
        assert_eq!(read(None), Ok(None), "nothing is configured");
        std::fs::write(directory.path().join("config.json"), "{").unwrap();
        assert!(read(None).unwrap_err().contains("config.json cannot be read: EOF"), "half a file");
        std::fs::write(directory.path().join("config.json"), r#"{"currentContext": "rootless"}"#).unwrap();
        let missing = read(None).unwrap_err();
        assert!(missing.starts_with("docker's current context is 'rootless', and "), "{missing}");
        for (place, name, host) in
            [("a1", "rootless", "unix:///run/user/1000/docker.sock"), ("b2", "far", "tcp://far:2376")]
        {
            let place = directory.path().join("contexts/meta").join(place);
            std::fs::create_dir_all(&place).unwrap();
            let meta = format!(
                r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
            );
            std::fs::write(place.join("meta.json"), meta).unwrap();
        }
        let rootless = read(None).unwrap().unwrap();
        assert_eq!(rootless.host, "unix:///run/user/1000/docker.sock");
        assert!(rootless.is_local());
        let far = read(Some("far")).unwrap().unwrap();
        assert_eq!((far.name.as_str(), far.is_local()), ("far", false), "the environment wins");
        assert_eq!(read(Some("default")), Ok(None));
    }
}
