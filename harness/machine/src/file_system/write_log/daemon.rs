//! The block device with a log: an image that `qemu-storage-daemon` exports through FUSE, with its driver
//! `blklogwrites` between them.
//!
//! The daemon logs a request when it is complete, before it answers it.
//!
//! Two reads or writes at once would damage the log: while one waits for the image, QEMU (7.2.22 and 10.0.2, at least)
//! reads the next one into the same buffer, and then logs that as the data of the first. So the kernel is told to send
//! asynchronous requests one by one; a loop device with direct I/O makes all reads and writes asynchronous. The other
//! requests (a flush, for example) are shorter than the header of a write, so they leave its data as it is.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::minor;
use nix::unistd::Pid;
use serde_json::json;

use super::super::commands::{MOUNT, command, run};
use super::super::mounts::{BUSY_TIMEOUT, mount_of, unmount_all};
use crate::error::{Error, Result};
use crate::how_to_install::HowToInstall;
use crate::process::{Account, Child, Launcher, TICK, is_alive, last_lines};
use crate::tool::Tool;

/// The program that logs what is written to a block device.
pub const QEMU_STORAGE_DAEMON: Tool = Tool {
    command: "qemu-storage-daemon",
    version_argument: "--version",
    // Debian 12 and Ubuntu 24.04 have it in the first, later ones in the second package.
    install: HowToInstall::packages(&["qemu-system-common", "qemu-utils"]),
};

/// The files of a logged device, in a directory.
pub(super) struct DeviceFiles {
    pub(super) directory: PathBuf,
}

impl DeviceFiles {
    /// The content before the first request of the log.
    pub(super) fn initial(&self) -> PathBuf {
        self.directory.join("initial")
    }

    /// The content with all requests.
    pub(super) fn image(&self) -> PathBuf {
        self.directory.join("image")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The file that behaves like the image and logs each request, while the daemon runs.
    pub(super) fn exported(&self) -> PathBuf {
        self.directory.join("device")
    }

    fn output(&self) -> PathBuf {
        self.directory.join("output")
    }
}

impl Drop for DeviceFiles {
    fn drop(&mut self) {
        // If this fails, they are removed with the work directory.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The running daemon. Dropping it kills it, and leaves the mount of the exported file to the caller.
pub(super) struct Daemon {
    child: Child,
    output: PathBuf,
}

impl Daemon {
    /// Starts it over an existing image, and waits until the exported file can be used.
    ///
    /// # Errors
    /// [`Error::Environment`] with the daemon's output; [`Error::Interrupted`].
    pub(super) fn start(launcher: &Launcher, files: &DeviceFiles) -> Result<Daemon> {
        let exported = files.exported();
        for file in [files.log(), exported.clone()] {
            File::create_new(&file).with_context(|| format!("cannot create {}", file.display()))?;
        }
        let output = File::create(files.output()).context("cannot create a file for the daemon's output")?;
        let second = output.try_clone().context("cannot open a file for the daemon's output")?;
        let mut command = Command::new(QEMU_STORAGE_DAEMON.command);
        command.args(arguments(files)?).stdin(Stdio::null()).stdout(output).stderr(second);
        let child = launcher.spawn(Account::Preparation, command)?;
        let daemon = Daemon { child, output: files.output() };
        let give_up = Instant::now() + BUSY_TIMEOUT;
        while mount_of(&exported)?.point != exported {
            if !is_alive(daemon.child.pid()) || Instant::now() > give_up {
                return Err(daemon.refused("did not export the device"));
            }
            launcher.cancel.sleep_until(Instant::now() + TICK / 10)?;
        }
        limit_requests(launcher, files)?;
        Ok(daemon)
    }

    /// Ends it, so that the log is complete.
    ///
    /// # Errors
    /// [`Error::Environment`] when it was killed or does not end.
    pub(super) fn end(mut self) -> Result<()> {
        let _ = kill(Pid::from_raw(self.child.pid()), Signal::SIGTERM);
        let give_up = Instant::now() + BUSY_TIMEOUT;
        while is_alive(self.child.pid()) {
            if Instant::now() > give_up {
                return Err(self.refused("did not end after SIGTERM"));
            }
            std::thread::sleep(TICK / 10);
        }
        let (status, _) = self.child.reap();
        if status.success() { Ok(()) } else { Err(self.refused(&format!("ended with {status}"))) }
    }

    fn refused(&self, what: &str) -> Error {
        let output = last_lines(&self.output);
        let output = if output.is_empty() { "no output".into() } else { output };
        Error::Environment(format!("'{}' {what}: {output}", QEMU_STORAGE_DAEMON.command))
    }
}

/// Lets the kernel send one asynchronous request at a time.
fn limit_requests(launcher: &Launcher, files: &DeviceFiles) -> Result<()> {
    let device = files.exported().metadata().context("cannot access the exported file")?.dev();
    let control = files.directory.join("connections");
    std::fs::create_dir(&control).context("cannot create a directory")?;
    run(launcher, command(&MOUNT, &["-t", "fusectl", "fusectl"], &[&control]))?;
    let limit = control.join(minor(device).to_string()).join("max_background");
    let written = std::fs::write(&limit, "1").with_context(|| format!("cannot write {}", limit.display()));
    unmount_all(&control)?;
    Ok(written?)
}

fn arguments(files: &DeviceFiles) -> Result<Vec<String>> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| Error::not_utf8(path));
    // A flush is logged. That the image and the log themselves survive a power cut of this machine is not needed.
    let file = |name: &str, path: &Path| {
        let cache = json!({"no-flush": true});
        Ok::<_, Error>(json!({"driver": "file", "node-name": name, "filename": text(path)?, "cache": cache}))
    };
    let logged = json!({
        "driver": "blklogwrites", "node-name": "logged", "file": "image", "log": "log", "log-sector-size": 512,
    });
    let export = json!({
        "type": "fuse", "id": "export", "node-name": "logged", "mountpoint": text(&files.exported())?, "writable": true,
    });
    let nodes = [file("image", &files.image())?, file("log", &files.log())?, logged];
    let nodes = nodes.iter().flat_map(|node| ["--blockdev".to_owned(), node.to_string()]);
    Ok(nodes.chain(["--export".to_owned(), export.to_string()]).collect())
}
