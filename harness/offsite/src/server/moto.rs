//! `moto`, a second S3 server that has nothing in common with the first one. It does not check signatures.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::how_to_install::HowToInstall;
use machine::measure::storage::sync_tree;
use machine::process::{Account, Group, Launcher};
use machine::program_cache::PIP;
use machine::tool::Tool;

use super::s3::{destination, write_credentials};
use super::start::{free_port, start};
use crate::content::cannot;
use crate::destination::DestinationChoice;

/// What pip installs: the smallest set with which the server of `moto` answers requests of S3.
pub const MOTO_PACKAGES: [&str; 3] = ["moto[s3]==5.1.22", "flask==3.1.3", "flask-cors==6.0.5"];

/// The directory of the cache.
const DIRECTORY: &str = "moto-5.1.22";

/// The interpreter that runs it.
static PYTHON: Tool =
    Tool { command: "python3", version_argument: "--version", install: HowToInstall::packages(&["python3"]) };

/// A running `moto`.
pub struct Moto {
    endpoint: String,
    credentials_file: PathBuf,
    _group: Group,
}

impl Moto {
    /// What is missing on this machine to run it, and how to get it.
    pub fn missing() -> Option<String> {
        PYTHON.missing().or_else(|| PIP.missing())
    }

    /// Starts a server on a free port of 127.0.0.1 that keeps its objects in memory, with these buckets. It is
    /// installed with pip into `cache` when it is not there. A file with a key is written to `directory`.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be installed or started.
    pub fn start(
        launcher: &Launcher,
        account: Account,
        cache: &Path,
        directory: &Path,
        buckets: &[&str],
    ) -> Result<Moto> {
        if let Some(missing) = Moto::missing() {
            return Err(Error::Environment(format!("moto cannot be run: {missing}")));
        }
        let library = install(launcher, cache)?;
        let credentials_file = directory.join("credentials");
        write_credentials(&credentials_file)?;
        let port = free_port()?;
        let mut command = Command::new(PYTHON.command);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p"]).arg(port.to_string());
        command.env("PYTHONPATH", library).env("PYTHONDONTWRITEBYTECODE", "1");
        let group = start(launcher, account, command, port, &directory.join("moto.log"))?;
        for bucket in buckets {
            create_bucket(port, bucket)
                .with_context(|| format!("moto cannot create the bucket '{bucket}'"))?;
        }
        Ok(Moto { endpoint: format!("http://127.0.0.1:{port}"), credentials_file, _group: group })
    }

    /// Its URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The destination `s3` with one of its buckets.
    pub fn destination(&self, bucket: &str) -> DestinationChoice {
        destination(&self.endpoint, &self.credentials_file, bucket)
    }
}

/// The directory of the installed packages. The cache never contains an incomplete set.
fn install(launcher: &Launcher, cache: &Path) -> Result<PathBuf> {
    let place = cache.join(DIRECTORY);
    if place.is_dir() {
        return Ok(place);
    }
    fs::create_dir_all(cache).map_err(|error| cannot("create", cache, &error))?;
    let staged = tempfile::tempdir_in(cache).context("cannot create a directory for the download")?;
    let unpacked = staged.path().join("unpacked");
    let mut command = Command::new(PIP.command);
    command.args(["install", "--quiet", "--no-warn-conflicts", "--only-binary=:all:", "--target"]);
    command.arg(&unpacked).args(MOTO_PACKAGES).env("TMPDIR", staged.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    launcher.run(Account::Preparation, command).map_err(|error| match error {
        Error::Environment(cause) => Error::Environment(format!("moto cannot be installed: {cause}")),
        error => error,
    })?;
    sync_tree(&unpacked).context("cannot make moto durable")?;
    match fs::rename(&unpacked, &place) {
        // Another run may have installed it meanwhile.
        Err(error) if !place.is_dir() => Err(cannot("create", &place, &error)),
        _ => Ok(place),
    }
}

/// Creates a bucket. moto takes requests without a signature.
fn create_bucket(port: u16, bucket: &str) -> anyhow::Result<()> {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    write!(
        stream,
        "PUT /{bucket} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.lines().next().unwrap_or_default();
    anyhow::ensure!(status.contains(" 200 "), "it answered '{status}'");
    Ok(())
}
