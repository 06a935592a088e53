//! What a container is to be.

use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::OwnNetwork;

/// What a container is to be. Whoever makes one names what differs: `Spec { command, ..Spec::new(image, name) }`.
/// There is no way to print it: the environment may hold secrets.
#[derive(Clone)]
pub struct Spec {
    /// Reference of an image that is on this machine.
    pub image: String,
    /// What messages call it, for example "MySQL server".
    pub name: &'static str,
    /// The program; the image's own when `None`.
    pub entrypoint: Option<String>,
    /// Its arguments.
    pub command: Vec<String>,
    /// Added to the image's environment.
    pub environment: Vec<(String, String)>,
    /// Directories of this machine.
    pub mounts: Vec<Mount>,
    /// Ports on 127.0.0.1 of this machine.
    pub ports: Vec<Port>,
    /// What it can reach.
    pub network: Network,
    /// What asks it to stop.
    pub stop_signal: Signal,
    /// Lines for bash that are run in place of entrypoint and command, and accounted for exactly.
    pub script: Option<String>,
}

impl Spec {
    /// A container that runs what its image says, sees nothing of this machine, and stops on SIGTERM.
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

    /// A pipeline of tools: lines for bash, which end at the first that fails, in a pipeline too. The image has
    /// to have bash and GNU time, as the image of tools does.
    ///
    /// What [`Container::wait`](super::Container::wait) says it used is exact for all that the script waited
    /// for, up to what starting bash and time costs (about a hundredth of a second, 2 MiB of memory and some
    /// kilobytes read), and with these limits: bytes that flow through a pipe are read and written bytes too;
    /// peak memory is that of the largest process; whatever still runs when the script ends is killed and not
    /// counted; and when the container is killed, it is what was read last before that. Lines are seen in the
    /// process list of this machine: secrets belong into the environment.
    pub fn shell(image: &str, name: &'static str, script: &str) -> Spec {
        Spec { script: Some(script.to_owned()), ..Spec::new(image, name) }
    }
}

/// A directory or file of this machine, seen in a container.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Absolute path on this machine; has to exist.
    pub host: PathBuf,
    /// Path in the container.
    pub container: String,
    /// The container may not write to it.
    pub read_only: bool,
}

/// A port of a container, reached at 127.0.0.1. The port on the host is fixed, so that it is the same again after
/// stop and start.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// On this machine.
    pub host: u16,
    /// In the container.
    pub container: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What a port speaks.
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
    /// The containers of one network, by name: this one is found at
    /// [`OwnNetwork::host_name`] of the alias given here. No two running containers share an alias.
    Joined(Arc<OwnNetwork>, String),
}
