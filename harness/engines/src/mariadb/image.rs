//! The image of a MariaDB server, with its tools: `mariadb-backup` has to be of the version of the server.

use crate::images::recipe::Recipe;
use crate::images::{ImageKind, MainProgram};

/// A MariaDB server.
pub static IMAGE: ImageKind = ImageKind {
    name: "mariadb",
    official: Some("mariadb:10.11"),
    program: Some(MainProgram {
        name: "mariadbd",
        title: "MariaDB server",
        version_argument: Some("--version"),
    }),
    recipe: Recipe {
        name: "mariadb",
        // It has the same version as the official image.
        suite: "bookworm",
        packages: &["mariadb-backup", "mariadb-client", "mariadb-server-core", "time", "zstd"],
        programs: &[],
        versions: &[
            ("mariadb-backup", "mariadb-backup --version 2>&1"),
            ("mariadb-dump", "mariadb-dump --version"),
            ("mariadbd", "mariadbd --version"),
        ],
        // Containers run as the user who started the harness, so any user can write to the server's directories.
        finish: "for name in run/mysqld var/lib/mysql; do mkdir -p \"$1/$name\"; chmod 1777 \"$1/$name\"; done",
        command: &["mariadbd"],
    },
};
