//! Ports of containers on this machine.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use machine::error::{Error, Result};

use crate::random::random;

/// Ports below this are left to well-known services.
const PORT_MIN: u16 = 10_000;

/// A port on the loopback interface that is free now, for TCP and UDP. A container binds it later, and again after a
/// restart; therefore it is outside the range from which the kernel assigns ports to connections.
///
/// # Errors
/// When no port is free.
pub(crate) fn free_port() -> Result<u16> {
    let own = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first_of_kernel: u16 =
        own.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    let ports = first_of_kernel.max(PORT_MIN + 1) - PORT_MIN;
    for _ in 0..1000 {
        let port = PORT_MIN + u16::from_le_bytes(random()?) % ports;
        let place = ("127.0.0.1", port);
        if TcpListener::bind(place).is_ok() && UdpSocket::bind(place).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::Environment(format!("no port from {PORT_MIN} to {first_of_kernel} is free on 127.0.0.1")))
}
