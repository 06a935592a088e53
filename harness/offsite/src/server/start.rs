//! How a server that is no worker is started: on a free port, with a log, until something listens there.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::process::{Account, Group, Launcher, TICK, last_lines};

use crate::content::cannot;

/// Longest time until a server answers.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// A port of 127.0.0.1 that nothing uses now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr()).context("there is no free port")?;
    Ok(address.port())
}

/// Starts a server and waits until it listens on its port. What it prints goes to the file `log`.
pub(super) fn start(
    launcher: &Launcher,
    account: Account,
    mut command: Command,
    port: u16,
    log: &Path,
) -> Result<Group> {
    let failed = |error| cannot("write", log, &error);
    let output = File::create(log).map_err(failed)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
    let child = launcher.spawn(account, command)?;
    let name = child.name.clone();
    let group = Group::new(vec![child]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let give_up = Instant::now() + TIMEOUT;
    while TcpStream::connect_timeout(&address, TICK).is_err() {
        let problem = if group.has_ended() {
            "ended before it answered".to_owned()
        } else if Instant::now() > give_up {
            format!("did not answer within {} s", TIMEOUT.as_secs())
        } else {
            launcher.cancel.sleep_until(Instant::now() + TICK)?;
            continue;
        };
        return Err(Error::Environment(format!("the server '{name}' {problem}: {}", last_lines(log))));
    }
    Ok(group)
}
