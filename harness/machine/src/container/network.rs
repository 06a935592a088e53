//! Docker networks that the harness creates.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::models::NetworkCreateRequest;

use super::sweep::LABEL;
use crate::docker::{block_on, connect, detached, failed};
use crate::error::Result;
use crate::measure::clock::now_ns;
use crate::process::Launcher;

/// A bridge network for the containers of one trial. It is removed when dropped; containers in it hold a reference.
pub struct OwnNetwork {
    docker: Docker,
    name: String,
}

impl OwnNetwork {
    /// Creates a network, with the label of the launcher's work directory.
    ///
    /// # Errors
    /// [`crate::error::Error::Environment`] when Docker is missing or rejected the request.
    pub fn create(launcher: &Launcher) -> Result<OwnNetwork> {
        let docker = connect()?;
        let name = unique();
        let label = launcher.work_directory().display().to_string();
        let request = NetworkCreateRequest {
            name: name.clone(),
            labels: Some(HashMap::from([(LABEL.to_owned(), label)])),
            ..NetworkCreateRequest::default()
        };
        let made = block_on(docker.create_network(request));
        made.map_err(|error| failed("create a network", &error))?;
        Ok(OwnNetwork { docker, name })
    }

    /// Its name in Docker.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host name under which other containers reach the one that joined as `alias`.
    pub fn host_name(&self, alias: &str) -> String {
        format!("{}-{alias}", self.name)
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        let (docker, name) = (self.docker.clone(), self.name.clone());
        detached(Duration::from_secs(30), async move {
            // If this fails, a later sweep removes it.
            let _ = docker.remove_network(&name).await;
        });
    }
}

/// A name that is unique in this machine's Docker.
pub(super) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let salt = now_ns() as u32;
    format!("backup-drill-{}-{count}-{salt:08x}", std::process::id())
}
