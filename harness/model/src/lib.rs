//! TODO(lib)

pub mod dataset;
pub mod ledger;
pub mod schedule;
pub mod verify;
pub mod writes;
