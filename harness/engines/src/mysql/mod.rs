//! MySQL, and what it shares with other servers that speak its protocol.

pub mod access;
mod cache;
pub mod client;
pub mod connection;
pub mod dataset;
pub mod engine;
pub mod flavour;
mod image;
pub mod options;
pub mod reader;
pub mod server;
pub mod settings;

use crate::engine::Template;
use engine::ServerEngine;
use flavour::Flavour;

/// MySQL.
pub static MYSQL: ServerEngine = ServerEngine {
    flavour: &FLAVOUR,
    image: &image::IMAGE,
    template: Template { subject: include_str!("subject.toml"), variants: include_str!("variants.toml") },
};

static FLAVOUR: Flavour = Flavour {
    engine: "mysql",
    title: "MySQL",
    container: "MySQL server",
    program: "mysqld",
    initialise: ("mysqld", &["--secure-file-priv=NULL", "--initialize-insecure"]),
    arguments: &["--secure-file-priv=NULL", "--mysqlx=OFF"],
    // Only the last three affect the resulting files: after a slow shutdown, the next start has no work left and finds
    // no list of pages to read ahead; and transactions of the load are not counted among those that a replica would
    // need.
    loading_arguments: &[
        "--local-infile=ON",
        "--disable-log-bin",
        "--innodb-buffer-pool-size=1G",
        "--innodb-doublewrite=OFF",
        "--innodb-ddl-buffer-size=128M",
        "--innodb-fast-shutdown=0",
        "--innodb-buffer-pool-dump-at-shutdown=OFF",
        "--gtid-mode=OFF",
    ],
    // If the server is killed without its redo log, it does not start again, so an incomplete dataset is never used.
    loading_statements: (
        &["ALTER INSTANCE DISABLE INNODB REDO_LOG"],
        &["ALTER INSTANCE ENABLE INNODB REDO_LOG"],
    ),
    empty_directory_bytes: 215 << 20,
    fresh_statistics: Some("SET SESSION information_schema_stats_expiry = 0"),
    full_check: "EXTENDED",
    usable_index: "IS_VISIBLE = 'YES'",
};
