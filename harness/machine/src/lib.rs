//! The machine under a trial: processes and workers, commands on PATH, containers, file systems, the page cache and
//! durability, counters and clocks, calibration, working directories, events and errors.
//!
//! Nothing here knows a database, a scenario or a strategy.

pub mod container;
pub mod docker;
pub mod error;
pub mod event;
pub mod file_system;
pub mod how_to_install;
pub mod measure;
pub mod process;
pub mod program_cache;
pub mod quantity;
pub mod removal;
pub mod this_program;
pub mod tool;
pub mod worker;
pub mod workspace;
