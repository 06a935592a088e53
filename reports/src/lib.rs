//! Reads the records of runs and writes comparisons.
//!
//! This crate does not know how a record is made. It contains the schema of `results.json`, the statistics over it,
//! and its rendering, so an old run can be rendered and compared on any machine.

pub mod advise;
pub mod claims;
pub mod compare;
pub mod defects;
pub mod gate;
pub mod load;
pub mod machine;
pub mod merge;
mod printable;
pub mod reaction;
pub mod record;
pub mod render;
pub mod schema;
pub mod sizing;

pub use printable::printable;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod example;
