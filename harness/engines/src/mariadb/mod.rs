//! MariaDB. It speaks MySQL's protocol, and shares everything with MySQL that is the same.

mod image;

pub use image::IMAGE;

use crate::engine::Template;
use crate::mysql::engine::ServerEngine;
use crate::mysql::flavour::Flavour;

/// MariaDB.
pub static MARIADB: ServerEngine = ServerEngine {
    flavour: &FLAVOUR,
    image: &image::IMAGE,
    template: Template { subject: include_str!("subject.toml"), variants: include_str!("variants.toml") },
};

static FLAVOUR: Flavour = Flavour {
    engine: "mariadb",
    title: "MariaDB",
    container: "MariaDB server",
    program: "mariadbd",
    initialise: (
        "mariadb-install-db",
        // Without the test database there are no anonymous users, which would be preferred to the harness's account.
        &["--skip-test-db", "--skip-name-resolve", "--auth-root-authentication-method=normal"],
    ),
    // As in the configuration files of Debian's package and of the official image, which are not read.
    arguments: &["--character-set-server=utf8mb4"],
    // Only the last two affect the resulting files: after a slow shutdown, the next start has no work left and finds no
    // list of pages to read ahead.
    loading_arguments: &[
        "--local-infile=ON",
        // Otherwise one connection waits for the other.
        "--innodb-autoinc-lock-mode=2",
        "--skip-log-bin",
        "--innodb-buffer-pool-size=1G",
        "--innodb-doublewrite=OFF",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-sort-buffer-size=64M",
        "--innodb-fast-shutdown=0",
        "--innodb-buffer-pool-dump-at-shutdown=OFF",
    ],
    // Its redo log cannot be disabled.
    loading_statements: (&[], &[]),
    empty_directory_bytes: 178 << 20,
    fresh_statistics: None,
    // EXTENDED looks up each row in each index: it took 258 s for 5 million rows, for which this took 2 s.
    full_check: "MEDIUM",
    usable_index: "IGNORED = 'NO'",
};
