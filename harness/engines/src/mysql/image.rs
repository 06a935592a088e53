//! The image of a MySQL server.

use crate::images::recipe::Recipe;
use crate::images::{ImageKind, MainProgram};

/// A MySQL server.
pub(super) static IMAGE: ImageKind = ImageKind {
    name: "mysql",
    official: Some("mysql:8.4"),
    program: Some(MainProgram { name: "mysqld", title: "MySQL server", version_argument: Some("--version") }),
    recipe: Recipe {
        name: "mysql",
        suite: "sid",
        packages: &["mysql-server-core", "mysql-client-core", "zstd"],
        programs: &[],
        versions: &[("mysqld", "mysqld --version")],
        // Containers run as the user who started the harness, so any user can write to the server's directories.
        finish: "for name in run/mysqld var/lib/mysql var/lib/mysql-files; do \
                 mkdir -p \"$1/$name\"; chmod 1777 \"$1/$name\"; done",
        command: &["mysqld"],
    },
};
