//! Transforms: what happens to the packed backup before it is published, and backwards after it was fetched. The
//! contract, one file for each, and the registry.

mod configured;
mod contract;
pub mod registry;
mod writer;

pub use configured::{ConfiguredTransform, Direction, TransformChoice, TransformEntry};
pub use contract::{Definition, Keys, Transform};

#[cfg(test)]
mod tests;
