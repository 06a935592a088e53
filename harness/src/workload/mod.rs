//! The concurrent writes of a trial: what they are, when they are due, and what became of each.

pub mod application;
mod descriptors;
pub mod ledger;
pub mod model;
pub mod mysql;
pub mod schedule;
pub mod sqlite;
pub mod tracker;
