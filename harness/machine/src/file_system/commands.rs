//! The commands that create, mount and remove file systems and volumes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::Context;

use crate::error::Result;
use crate::how_to_install::HowToInstall;
use crate::process::{Account, Launcher};
use crate::tool::Tool;

/// The command of the btrfs file system.
pub const BTRFS: Tool = Tool {
    command: "btrfs",
    version_argument: "--version",
    install: HowToInstall::packages(&["btrfs-progs"]),
};

pub(super) const MKFS_BTRFS: Tool = Tool {
    command: "mkfs.btrfs",
    version_argument: "--version",
    install: HowToInstall::packages(&["btrfs-progs"]),
};
pub(super) const MKFS_EXT4: Tool =
    Tool { command: "mkfs.ext4", version_argument: "-V", install: HowToInstall::packages(&["e2fsprogs"]) };
pub(super) const MKFS_XFS: Tool =
    Tool { command: "mkfs.xfs", version_argument: "-V", install: HowToInstall::packages(&["xfsprogs"]) };
pub(super) const XFS_IO: Tool =
    Tool { command: "xfs_io", version_argument: "-V", install: HowToInstall::packages(&["xfsprogs"]) };
pub(super) const MOUNT: Tool = Tool {
    command: "mount",
    version_argument: "--version",
    install: HowToInstall::Packages { debian: &["mount"], elsewhere: Some(("util-linux", "elsewhere")) },
};
pub(super) const LOSETUP: Tool = Tool { command: "losetup", ..MOUNT };

pub(super) static LVM: Tool =
    Tool { command: "lvm", version_argument: "version", install: HowToInstall::packages(&["lvm2"]) };
const OF_ZFS: Tool = Tool {
    command: "zfs",
    version_argument: "version",
    // Debian has it outside its main archive, and it does not work without a kernel module.
    install: HowToInstall::Instructions(
        "install the package 'zfsutils-linux' (Debian, Ubuntu) or 'zfs' (elsewhere), and the kernel module",
    ),
};
pub(super) static ZFS: Tool = OF_ZFS;
pub(super) static ZPOOL: Tool = Tool { command: "zpool", ..OF_ZFS };
/// Keeps LVM from printing a warning for every open file that it inherits.
pub const QUIET_LVM: (&str, &str) = ("LVM_SUPPRESS_FD_WARNINGS", "1");

/// A command that prints nothing but errors: a tool with these words and paths.
pub(super) fn command(tool: &Tool, words: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(tool.command);
    let (name, value) = QUIET_LVM;
    command
        .env(name, value)
        .args(words)
        .args(paths)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs a command, on the account of the preparation.
pub(super) fn run(launcher: &Launcher, command: Command) -> Result<()> {
    launcher.run(Account::Preparation, command)
}

/// Runs a command and returns what it printed. For cleaning up, which must not be interrupted.
pub(super) fn quiet(program: &str, arguments: &[&str]) -> std::io::Result<Output> {
    let (name, value) = QUIET_LVM;
    Command::new(program).args(arguments).env(name, value).stdin(Stdio::null()).output()
}

/// The loop devices of an image.
pub(super) fn loop_devices(image: &Path) -> Result<Vec<String>> {
    let image = image.display().to_string();
    let devices = quiet(LOSETUP.command, &["--noheadings", "--output", "NAME", "--associated", &image]);
    let devices = devices.context("cannot look for a loop device")?.stdout;
    Ok(String::from_utf8_lossy(&devices).lines().map(|device| device.trim().to_owned()).collect())
}
