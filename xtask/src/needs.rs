//! What the checks and tests of this repository need on a machine: commands, the packages that contain them, and what
//! each is needed for.

use engines::images::{self, ImageKind, Stock, TOOLS};
use machine::file_system::FileSystem;
use machine::file_system::write_log::QEMU_STORAGE_DAEMON;
use machine::how_to_install::HowToInstall;
use machine::program_cache::PIP;
use machine::tool::Tool;
use nix::unistd::geteuid;
use strategies::registry;

use crate::arguments::Scope;

/// A command, and what needs it.
pub struct Need {
    /// The command.
    pub tool: &'static Tool,
    /// What needs it.
    pub purposes: Vec<String>,
}

const CC: Tool = Tool {
    command: "cc",
    version_argument: "--version",
    install: HowToInstall::packages(&["gcc", "libc6-dev"]),
};
const RUSTFMT: Tool =
    Tool { command: "rustfmt", version_argument: "--version", install: HowToInstall::Component("rustfmt") };
const CLIPPY: Tool = Tool {
    command: "cargo-clippy",
    version_argument: "--version",
    install: HowToInstall::Component("clippy"),
};
const BATS: Tool =
    Tool { command: "bats", version_argument: "--version", install: HowToInstall::packages(&["bats"]) };
/// With it, bats executes several files at once.
const PARALLEL: Tool = Tool {
    command: "parallel",
    version_argument: "--version",
    install: HowToInstall::packages(&["parallel"]),
};
const FLOCK: Tool = Tool {
    command: "flock",
    version_argument: "--version",
    install: HowToInstall::packages(&["util-linux"]),
};
/// Without it, the sidecar's test of access control lists skips itself.
const SETFACL: Tool =
    Tool { command: "setfacl", version_argument: "--version", install: HowToInstall::packages(&["acl"]) };
/// The sidecar's tests of encryption, digests, destinations, alerts and metrics.
const AGE: Tool =
    Tool { command: "age", version_argument: "--version", install: HowToInstall::packages(&["age"]) };
const B3SUM: Tool =
    Tool { command: "b3sum", version_argument: "--version", install: HowToInstall::packages(&["b3sum"]) };
const CURL: Tool =
    Tool { command: "curl", version_argument: "--version", install: HowToInstall::packages(&["curl"]) };
const JQ: Tool =
    Tool { command: "jq", version_argument: "--version", install: HowToInstall::packages(&["jq"]) };
const RCLONE: Tool =
    Tool { command: "rclone", version_argument: "--version", install: HowToInstall::packages(&["rclone"]) };
const SOCAT: Tool =
    Tool { command: "socat", version_argument: "-V", install: HowToInstall::packages(&["socat"]) };
/// The guide's example is tested with the client that a distribution installs, too.
const MYSQLDUMP: Tool = Tool {
    command: "mysqldump",
    version_argument: "--version",
    install: HowToInstall::packages(&["default-mysql-client"]),
};
const CHROMIUM: Tool = Tool {
    command: "chromium",
    version_argument: "--version",
    install: HowToInstall::packages(&["chromium"]),
};
const TAR: Tool =
    Tool { command: "tar", version_argument: "--version", install: HowToInstall::packages(&["tar"]) };

/// What is needed in addition to the tools that strategies, file systems and images declare.
const OWN: &[(&Tool, &str)] = &[
    (&CC, "building"),
    (&RUSTFMT, "formatting"),
    (&CLIPPY, "lints"),
    (&BATS, "the sidecar's tests"),
    (&PARALLEL, "the sidecar's tests"),
    (&FLOCK, "the sidecar's tests"),
    (&SETFACL, "the sidecar's tests"),
    (&TAR, "the sidecar's tests"),
    (&AGE, "the sidecar's tests"),
    (&B3SUM, "the sidecar's tests"),
    (&CURL, "the sidecar's tests"),
    (&JQ, "the sidecar's tests"),
    (&RCLONE, "the sidecar's tests"),
    (&SOCAT, "the sidecar's tests"),
    (&PIP, "trials of programs from PyPI"),
    (&MYSQLDUMP, "tests of the guide's example for MySQL"),
    (&CHROMIUM, "tests of report.html in a browser"),
    (&QEMU_STORAGE_DAEMON, "the states of a disk after a power cut"),
];

/// Docker's command line, with which tests check that no container is left. It is not installed automatically, because
/// its package also installs and starts a daemon, which is the user's choice.
const DOCKER: Tool = Tool {
    command: "docker",
    version_argument: "--version",
    install: HowToInstall::Instructions(
        "install Docker's command line (Debian, Ubuntu: the package 'docker.io' or 'docker-cli')",
    ),
};

/// All commands, each once. Tools of a strategy or file system that no package contains are left out: without such a
/// tool that strategy or file system is reported as not tested.
pub fn all(scope: &Scope) -> Vec<Need> {
    let mut wanted: Vec<(&'static Tool, String)> = Vec::new();
    for strategy in registry::all().iter().filter(|strategy| !scope.excepts(strategy.card().name)) {
        let card = strategy.card();
        wanted.extend(card.all_tools().into_iter().map(|tool| (tool, card.name.to_owned())));
    }
    for fault in harness::fault::registry::all() {
        let purpose = format!("trials with the fault {}", fault.name);
        wanted.extend(fault.with_defaults().tools().iter().map(|tool| (*tool, purpose.clone())));
    }
    wanted
        .extend(harness::stages::tools().into_iter().map(|tool| (tool, "trials of destinations".to_owned())));
    // Only root can mount them, whatever is installed.
    if geteuid().is_root() {
        for kind in FileSystem::MADE.into_iter().filter(|kind| !scope.excepts(kind.name())) {
            let purpose = format!("trials on {}", kind.name());
            wanted.extend(kind.tools().into_iter().map(|tool| (tool, purpose.clone())));
        }
    }
    // Tools that no package contains: what needs them is reported as not tested.
    wanted.retain(|(tool, _)| !matches!(tool.install, HowToInstall::Instructions(_)));
    wanted.extend(OWN.iter().map(|(tool, purpose)| (*tool, (*purpose).to_owned())));
    if !scope.without_docker {
        wanted.push((&DOCKER, "tests of containers".to_owned()));
    }
    for kind in images_to_build(scope) {
        let purpose = format!("building the {} image", kind.name);
        wanted.extend(images::tools(kind).into_iter().map(|tool| (tool, purpose.clone())));
    }
    let mut needs: Vec<Need> = Vec::new();
    for (tool, purpose) in wanted {
        match needs.iter_mut().find(|need| need.tool.command == tool.command) {
            Some(need) if need.purposes.contains(&purpose) => {}
            Some(need) => need.purposes.push(purpose),
            None => needs.push(Need { tool, purposes: vec![purpose] }),
        }
    }
    needs
}

/// The needs that this machine does not meet.
pub fn missing(scope: &Scope) -> Vec<Need> {
    all(scope).into_iter().filter(|need| need.tool.missing().is_some()).collect()
}

/// Images that tests or trials may build: those that are missing, and the tools image, which a test always builds.
fn images_to_build(scope: &Scope) -> Vec<&'static ImageKind> {
    let is_here = |kind| matches!(images::look(kind, None), Ok(Stock::Here(_)));
    let kinds = engines::registry::images().into_iter().filter(|kind| **kind == TOOLS || !is_here(kind));
    kinds.filter(|_| !scope.without_docker).collect()
}

impl Need {
    /// What is missing, how to get it, and what needs it.
    pub fn line(&self) -> String {
        let missing = self.tool.missing().unwrap_or_default();
        format!("{missing}; for {}", self.purposes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(scope: &Scope) -> Vec<&'static str> {
        all(scope).iter().map(|need| need.tool.command).collect()
    }

    #[test]
    fn each_command_is_needed_once_and_for_something() {
        let scope = Scope { without_docker: false, except: Vec::new() };
        let needs = all(&scope);
        let mut commands = commands(&scope);
        assert!(needs.iter().all(|need| !need.purposes.is_empty()));
        assert!(!commands.contains(&"xtrabackup") && !commands.contains(&"zpool"), "{commands:?}");
        assert!(
            ["cc", "bats", "mmdebstrap", "pip3", "sqlite3", "zstd"].iter().all(|one| commands.contains(one))
        );
        commands.sort_unstable();
        let count = commands.len();
        commands.dedup();
        assert_eq!(commands.len(), count, "{commands:?}");
    }

    #[test]
    fn excepted_parts_need_nothing() {
        let without =
            commands(&Scope { without_docker: true, except: vec!["lvm".into(), "sqlite-dump".into()] });
        assert!(!without.contains(&"mmdebstrap") && !without.contains(&"lvm"), "{without:?}");
        // Other strategies need it as well.
        assert!(without.contains(&"zstd"), "{without:?}");
    }
}
