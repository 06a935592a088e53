//! The concurrent writes of a trial: what they are, when they are due, and what became of each.

pub mod ledger;
pub mod model;
