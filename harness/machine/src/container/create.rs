//! From a [`Spec`] to a running container.

use bollard::Docker;
use bollard::models::{HostConfig, HostConfigLogConfig, PortBinding};
use nix::unistd::{getegid, geteuid};
use testcontainers::core::client::ClientError;
use testcontainers::core::{AccessMode, ContainerPort, Mount as TestMount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt, TestcontainersError};

use super::network::unique;
use super::script::WRAPPER;
use super::spec::{Network, Protocol, Spec};
use super::sweep::{LABEL, remove};
use crate::docker::{block_on, causes, failed, is_absent, reason};
use crate::error::{Error, Result};
use crate::process::Launcher;
use crate::this_program;

/// Label with a value that is unique to one container, so that a container that could not be started can be found.
const OWN: &str = "backup-drill.container";

pub(super) fn create(
    docker: &Docker,
    launcher: &Launcher,
    spec: &Spec,
) -> Result<ContainerAsync<GenericImage>> {
    // Checked first: otherwise a missing image would be pulled, without a message and without a timeout.
    match block_on(docker.inspect_image(&spec.image)) {
        Ok(_) => {}
        Err(error) if is_absent(&error) => {
            return Err(Error::Environment(format!(
                "the image '{}' of the {} is not on this machine: run '{} images' to pull or build it",
                spec.image,
                spec.name,
                this_program::name()
            )));
        }
        Err(error) => return Err(failed("look for an image", &error)),
    }
    for mount in &spec.mounts {
        if !mount.host.exists() {
            let host = mount.host.display();
            return Err(Error::Environment(format!("{host}, which the {} needs, does not exist", spec.name)));
        }
    }
    let own = unique();
    let request = request(launcher, spec, &own);
    block_on(async {
        let error = match request.start().await {
            Ok(container) => return Ok(container),
            Err(error) => explain(spec, &error),
        };
        remove_unstarted(docker, &own).await;
        Err(error)
    })
}

fn request(launcher: &Launcher, spec: &Spec, own: &str) -> ContainerRequest<GenericImage> {
    let (name, tag) = name_and_tag(&spec.image);
    let mut image = GenericImage::new(name, tag);
    for port in &spec.ports {
        // Docker publishes only exposed ports, and the images that the harness builds expose none.
        image = image.with_exposed_port(match port.protocol {
            Protocol::Tcp => ContainerPort::Tcp(port.container),
            Protocol::Udp => ContainerPort::Udp(port.container),
        });
    }
    let entrypoint = if spec.script.is_some() { Some("bash") } else { spec.entrypoint.as_deref() };
    if let Some(entrypoint) = entrypoint {
        image = image.with_entrypoint(entrypoint);
    }
    let command = match &spec.script {
        Some(script) => vec!["-c".to_owned(), WRAPPER.to_owned(), "bash".to_owned(), script.clone()],
        None => spec.command.clone(),
    };
    let mut request = image
        .with_cmd(command)
        .with_user(format!("{}:{}", geteuid(), getegid()))
        .with_label(LABEL, launcher.work_directory().display().to_string())
        .with_label(OWN, own);
    for (name, value) in &spec.environment {
        request = request.with_env_var(name, value);
    }
    for mount in &spec.mounts {
        let mode = if mount.read_only { AccessMode::ReadOnly } else { AccessMode::ReadWrite };
        let bound = TestMount::bind_mount(mount.host.to_string_lossy(), &mount.container);
        request = request.with_mount(bound.with_access_mode(mode));
    }
    if let Network::Joined(network, alias) = &spec.network {
        request = request.with_container_name(network.host_name(alias));
    }
    let (network, ports) = (spec.network.clone(), spec.ports.clone());
    request.with_host_config_modifier(move |config: &mut HostConfig| {
        config.network_mode = match &network {
            Network::None => Some("none".to_owned()),
            Network::Bridge => None,
            Network::Joined(network, _) => Some(network.name().to_owned()),
        };
        let bindings = ports.iter().map(|port| {
            let protocol = if port.protocol == Protocol::Tcp { "tcp" } else { "udp" };
            let binding =
                PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.host.to_string()) };
            (format!("{}/{protocol}", port.container), Some(vec![binding]))
        });
        config.port_bindings = Some(bindings.collect());
        config.publish_all_ports = Some(false);
        // The complete output must be readable, whatever log driver the daemon uses by default.
        let limits = [("max-size", "1g"), ("max-file", "1")];
        let limits = limits.map(|(name, value)| (name.to_owned(), value.to_owned()));
        config.log_config =
            Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(limits.into()) });
    })
}

/// Splits a reference. `registry:5000/name` has no tag. `name@sha256:…` and `sha256:…` are split at the last colon, at
/// which the library joins the parts again.
fn name_and_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

async fn remove_unstarted(docker: &Docker, own: &str) {
    let filters = std::collections::HashMap::from([("label", vec![format!("{OWN}={own}")])]);
    let options = bollard::query_parameters::ListContainersOptionsBuilder::new();
    let options = options.all(true).filters(&filters).build();
    for container in docker.list_containers(Some(options)).await.unwrap_or_default() {
        remove(docker, &container.id.unwrap_or_default()).await;
    }
}

/// Why a container could not be started, without its environment.
pub(super) fn explain(spec: &Spec, error: &TestcontainersError) -> Error {
    let said = match error {
        TestcontainersError::Client(
            ClientError::CreateContainer(error)
            | ClientError::StartContainer(error)
            | ClientError::Init(error),
        ) => reason(error),
        _ => causes(error),
    };
    let taken = said.contains("already allocated") || said.contains("address already in use");
    let port = spec.ports.iter().find(|port| said.contains(&format!("127.0.0.1:{}", port.host)));
    if let (true, Some(port)) = (taken, port) {
        return Error::Environment(format!(
            "port {} on 127.0.0.1 is in use: the {} needs it; stop the process that uses it ('ss -lntup' shows it)",
            port.host, spec.name
        ));
    }
    Error::Environment(format!("the {} cannot be started from the image '{}': {said}", spec.name, spec.image))
}

#[cfg(test)]
mod tests {
    use super::name_and_tag;

    #[test]
    fn a_reference_is_split_where_the_library_joins_it() {
        assert_eq!(name_and_tag("mysql:8.4"), ("mysql", "8.4"));
        assert_eq!(name_and_tag("registry:5000/mysql"), ("registry:5000/mysql", "latest"));
        assert_eq!(name_and_tag("mysql"), ("mysql", "latest"));
        assert_eq!(name_and_tag("mysql@sha256:12ab"), ("mysql@sha256", "12ab"));
        assert_eq!(name_and_tag("sha256:12ab"), ("sha256", "12ab"));
    }
}
