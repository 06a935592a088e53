//! Destinations: where a backup is published, and from where it is fetched. The contract, one file for each, and the
//! registry.

mod configured;
mod contract;
mod name;
pub mod registry;

pub use configured::{ConfiguredDestination, DestinationChoice, DestinationEntry};
pub use contract::{Definition, Destination, Listed, Listing, Moved, Operation, Upload};
pub use name::ObjectName;

#[cfg(test)]
mod tests;
