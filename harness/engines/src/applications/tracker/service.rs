//! The Torrust tracker in a container.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::container::{BindMount, Container, Network, Port, Protocol, Spec};
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};
use nix::sys::signal::Signal;

use super::announces::{Announces, TrackerTarget};
use crate::instance::{TRACKER_DATA, TrackerDatabase};
use crate::ports::free_port;

/// The directory with its configuration in its container.
const RUN: &str = "/run/drill";
/// Long enough to load millions of torrents into memory first.
const START_TIMEOUT: Duration = Duration::from_secs(600);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the health check of a starting tracker is called.
const POLL: Duration = Duration::from_millis(20);
const UDP_PORT: u16 = 6969;
const HTTP_PORT: u16 = 7070;
const HEALTH_PORT: u16 = 1313;

/// The configuration of a tracker.
pub struct TrackerSetup {
    /// The image.
    pub image: String,
    /// A directory for its configuration.
    pub run_directory: PathBuf,
    /// The database.
    pub database: TrackerDatabase,
    /// How it is announced to.
    pub announces: Announces,
    /// The network.
    pub network: Network,
}

/// A tracker.
pub struct Tracker {
    launcher: Launcher,
    setup: TrackerSetup,
    target: TrackerTarget,
    health_port: u16,
    container: Option<Container>,
    runs: bool,
}

impl Tracker {
    /// A tracker that is not running yet.
    ///
    /// # Errors
    /// When its configuration cannot be written, or no port is free.
    pub fn new(launcher: &Launcher, setup: TrackerSetup) -> Result<Tracker> {
        let target =
            TrackerTarget { udp_port: free_port()?, http_port: free_port()?, announces: setup.announces };
        let tracker = Tracker {
            launcher: launcher.clone(),
            target,
            health_port: free_port()?,
            container: None,
            runs: false,
            setup,
        };
        tracker.write_configuration()?;
        Ok(tracker)
    }

    /// Where clients announce to.
    pub fn target(&self) -> &TrackerTarget {
        &self.target
    }

    fn write_configuration(&self) -> Result<()> {
        fs::create_dir_all(&self.setup.run_directory).context("cannot create the run directory")?;
        let path = self.configuration();
        // It may contain the password of the database.
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(self.configuration_text().as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    fn configuration(&self) -> PathBuf {
        self.setup.run_directory.join("tracker.toml")
    }

    fn configuration_text(&self) -> String {
        let TrackerDatabase { driver, path, .. } = &self.setup.database;
        format!(
            r#"[metadata]
app = "torrust-tracker"
purpose = "configuration"
schema_version = "2.0.0"

[logging]
threshold = "info"

[core]
listed = false
private = false
tracker_usage_statistics = false
inactive_peer_cleanup_interval = 600

[core.database]
driver = "{driver}"
path = "{path}"

[core.tracker_policy]
persistent_torrent_completed_stat = true
remove_peerless_torrents = false
max_peer_timeout = 86400

[[udp_trackers]]
bind_address = "0.0.0.0:{UDP_PORT}"

[[http_trackers]]
bind_address = "0.0.0.0:{HTTP_PORT}"

[health_check_api]
bind_address = "0.0.0.0:{HEALTH_PORT}"
"#
        )
    }

    /// Starts it and waits until its health check succeeds; does nothing if it is running.
    ///
    /// # Errors
    /// When it does not start, with its last output.
    pub fn start(&mut self) -> Result<()> {
        if self.runs {
            return Ok(());
        }
        match &mut self.container {
            Some(container) => container.start_again()?,
            None => {
                let spec = self.spec();
                self.container = Some(Container::start(&self.launcher, Account::Subject, spec)?);
            }
        }
        self.wait_healthy()?;
        self.runs = true;
        Ok(())
    }

    fn spec(&self) -> Spec {
        let mount = |host: &Path, container: &str| BindMount {
            host: host.to_owned(),
            container: container.to_owned(),
            read_only: false,
        };
        let mut mounts = vec![mount(&self.setup.run_directory, RUN)];
        mounts.extend(self.setup.database.directory.iter().map(|directory| mount(directory, TRACKER_DATA)));
        let port = |host, container, protocol| Port { host, container, protocol };
        Spec {
            entrypoint: Some("torrust-tracker".into()),
            environment: vec![("TORRUST_TRACKER_CONFIG_TOML_PATH".into(), format!("{RUN}/tracker.toml"))],
            mounts,
            ports: vec![
                port(self.target.udp_port, UDP_PORT, Protocol::Udp),
                port(self.target.http_port, HTTP_PORT, Protocol::Tcp),
                port(self.health_port, HEALTH_PORT, Protocol::Tcp),
            ],
            network: self.setup.network.clone(),
            // It ignores SIGTERM.
            stop_signal: Signal::SIGINT,
            ..Spec::new(&self.setup.image, "tracker")
        }
    }

    fn wait_healthy(&self) -> Result<()> {
        let container = self.container.as_ref().expect("it was started");
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
        let url = format!("http://127.0.0.1:{}/health_check", self.health_port);
        let give_up = Instant::now() + START_TIMEOUT;
        loop {
            self.launcher.cancel.check()?;
            if !container.is_running() {
                let words = container.last_words();
                return Err(Error::Environment(format!("the tracker ended before it was healthy: {words}")));
            }
            let Err(error) = agent.get(&url).call() else { return Ok(()) };
            if Instant::now() > give_up {
                let seconds = START_TIMEOUT.as_secs();
                return Err(Error::Environment(format!(
                    "the tracker was not healthy within {seconds} s ({url}: {error}): {}",
                    container.last_words()
                )));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Shuts it down cleanly; does nothing if it is not running.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.runs) {
            return Ok(());
        }
        self.container.as_mut().map_or(Ok(()), |container| container.stop(STOP_TIMEOUT))
    }

    /// Reads the resources that it has used, shortly before its end: afterwards they cannot be read any more.
    pub fn note(&mut self) {
        if let Some(container) = &mut self.container {
            container.note();
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if std::mem::take(&mut self.runs)
            && let Some(container) = &mut self.container
        {
            container.kill();
        }
    }

    /// How it ended, if it exited unexpectedly.
    pub fn ended(&self) -> Option<String> {
        let container = self.container.as_ref().filter(|container| self.runs && !container.is_running())?;
        Some(format!("the tracker ended: {}", container.last_words()))
    }
}
