//! Ways to back up and restore: the contract, one file for each, and the registry.
//!
//! Nothing here knows a scenario or a trial.

mod cold_copy;
pub mod convergence;
mod external;
mod files;
pub mod halt;
mod hot_copy;
mod litestream;
mod maintenance_window;
mod mydumper;
mod mysql_binlog;
mod mysql_clone;
mod mysql_dump;
mod mysql_tools;
pub mod promise;
pub mod registry;
mod selective;
mod shipping;
mod sidecar;
mod sidecar_container;
mod snapshot;
mod sqlite3_rsync;
mod sqlite_cli_backup;
mod sqlite_dump;
mod sqlite_online_backup;
mod sqlite_tools;
mod sqlite_vacuum_into;
pub mod strategy;
pub mod watch;
mod xtrabackup;
