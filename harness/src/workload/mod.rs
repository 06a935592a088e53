//! The concurrent writes of a trial: their content, their due times and their outcomes.

pub mod application;
mod descriptors;
pub mod ledger;
pub mod model;
pub mod mysql;
pub mod schedule;
pub mod sqlite;
pub mod tracker;
