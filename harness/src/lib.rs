//! Everything that makes a trial happen.

pub mod dataset;
pub mod error;
pub mod measure;
pub mod verify;
pub mod workload;
