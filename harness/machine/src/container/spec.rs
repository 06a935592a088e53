//! The description of a container to start.

use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::network::OwnNetwork;

/// The description of a container to start. Set what differs from the defaults:
/// `Spec { command, ..Spec::new(image, name) }`. It does not implement `Debug`: the environment may contain secrets.
#[derive(Clone)]
pub struct Spec {
    /// Reference of an image that is present on this machine.
    pub image: String,
    /// The container's name in messages, for example "MySQL server".
    pub name: &'static str,
    /// The program; `None`: the entrypoint of the image.
    pub entrypoint: Option<String>,
    /// The arguments of the program.
    pub command: Vec<String>,
    /// Added to the image's environment.
    pub environment: Vec<(String, String)>,
    /// Directories and files of this machine.
    pub mounts: Vec<BindMount>,
    /// Ports on 127.0.0.1 of this machine.
    pub ports: Vec<Port>,
    /// What it can reach.
    pub network: Network,
    /// The signal that asks it to stop.
    pub stop_signal: Signal,
    /// A bash script that runs instead of entrypoint and command. Its resources are measured exactly.
    pub script: Option<String>,
}

impl Spec {
    /// A container that runs its image's entrypoint, has no access to files of this machine, and stops on SIGTERM.
    pub fn new(image: &str, name: &'static str) -> Spec {
        Spec {
            image: image.to_owned(),
            name,
            entrypoint: None,
            command: Vec::new(),
            environment: Vec::new(),
            mounts: Vec::new(),
            ports: Vec::new(),
            network: Network::Bridge,
            stop_signal: Signal::SIGTERM,
            script: None,
        }
    }

    /// A container that runs tools in a bash script, which stops at the first command that fails, also inside a
    /// pipeline. The image must contain bash; peak memory is measured if it also contains GNU time.
    ///
    /// The resources that [`Container::wait`](super::Container::wait) returns are exact for all processes that the
    /// script waited for, except for starting bash and time (about 0.01 s, 2 MiB of memory and some kilobytes read),
    /// and with these limits: bytes that flow through a pipe count as read and written, too; peak memory is that of the
    /// largest process; processes that still run when the script ends are killed and not counted; and if the container
    /// is killed, they are the last reading before that. The script is visible in the process list of this machine: put
    /// secrets into the environment.
    pub fn shell(image: &str, name: &'static str, script: &str) -> Spec {
        Spec { script: Some(script.to_owned()), ..Spec::new(image, name) }
    }
}

/// A directory or file of this machine that is mounted into a container.
#[derive(Clone, Debug)]
pub struct BindMount {
    /// Absolute path on this machine; must exist.
    pub host: PathBuf,
    /// Path in the container.
    pub container: String,
    /// The container may not write to it.
    pub read_only: bool,
}

/// A port of a container, published at 127.0.0.1. The port on the host is fixed, so that it does not change when the
/// container is restarted.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// On this machine.
    pub host: u16,
    /// In the container.
    pub container: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// The transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a container can reach.
#[derive(Clone)]
pub enum Network {
    /// Nothing.
    None,
    /// Docker's default bridge.
    Bridge,
    /// The containers of one network, by name. This container's name is [`OwnNetwork::host_name`] of the alias given
    /// here. No two running containers may share an alias.
    Joined(Arc<OwnNetwork>, String),
}
