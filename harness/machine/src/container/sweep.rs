//! Removes containers that a killed harness left behind: a container does not end with the process that started it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};

use crate::docker::{block_on, connect};

/// Label of all containers and networks; its value is the work directory that they belong to.
pub const LABEL: &str = "backup-drill.work";

/// A daemon that takes longer does not work properly, and a run must not wait for it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Removes the containers and networks of a work directory and of all directories below it. Returns the number of
/// removed containers: 0 without Docker.
pub fn sweep(work_directory: &Path) -> usize {
    let Ok(docker) = connect() else { return 0 };
    let swept = async { tokio::time::timeout(TIMEOUT, remove_all(&docker, work_directory)).await };
    block_on(swept).unwrap_or(0)
}

async fn remove_all(docker: &Docker, work_directory: &Path) -> usize {
    let belongs = |labels: &Option<HashMap<String, String>>| {
        let value = labels.as_ref().and_then(|labels| labels.get(LABEL));
        value.is_some_and(|value| Path::new(value).starts_with(work_directory))
    };
    let filters = HashMap::from([("label", vec![LABEL])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await.unwrap_or_default();
    let mut removed = 0;
    for container in containers.into_iter().filter(|container| belongs(&container.labels)) {
        if remove(docker, &container.id.unwrap_or_default()).await {
            removed += 1;
        }
    }
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.unwrap_or_default();
    for network in networks.into_iter().filter(|network| belongs(&network.labels)) {
        // An error is ignored: the network may be gone already.
        let _ = docker.remove_network(&network.id.unwrap_or_default()).await;
    }
    removed
}

/// Removes a container, running or not, with its anonymous volumes.
pub(super) async fn remove(docker: &Docker, id: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    docker.remove_container(id, Some(options)).await.is_ok()
}
