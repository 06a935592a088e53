//! The concurrent writes of a trial: what they are, when they are due, and what became of each.

pub mod embedded;
pub mod ledger;
pub mod model;
pub mod schedule;
pub mod statements;
