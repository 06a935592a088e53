//! Servers for trials and tests: real ones, on this machine only, each killed when its value is dropped.

mod moto;
mod s3;
mod sshd;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::process::{Cancel, Group, TICK};
pub use moto::{MOTO_PACKAGES, Moto};
pub use s3::{S3Server, ServeS3};
#[cfg(test)]
pub(crate) use s3::{destination as s3_destination, write_credentials};
pub use sshd::{SSHD, Sshd};

/// Longest time until a server answers.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A port that nothing uses now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr()).context("there is no free port")?;
    Ok(address.port())
}

/// Waits until something listens on a port.
fn wait_until_open(port: u16, group: &mut Group, cancel: &Cancel, name: &str) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let give_up = Instant::now() + START_TIMEOUT;
    while TcpStream::connect_timeout(&address, TICK).is_err() {
        if group.has_ended() {
            return Err(Error::Environment(format!("{name} cannot be started: {}", group.last_words())));
        }
        if Instant::now() > give_up {
            let seconds = START_TIMEOUT.as_secs();
            return Err(Error::Environment(format!("{name} did not answer within {seconds} s")));
        }
        cancel.sleep_until(Instant::now() + TICK)?;
    }
    Ok(())
}
