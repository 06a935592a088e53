//! Ways to back up and restore: the contract, one file for each, and the registry.
//!
//! Nothing here knows a scenario or a trial.

pub mod artifact_server;
pub mod clock;
pub mod contract;
pub mod convergence;
mod files;
mod mysql_tools;
mod published;
pub mod registry;
mod replication_program;
mod repository;
pub mod sidecar_container;
mod sqlite_tools;
mod steady_sync;
pub mod watch;
