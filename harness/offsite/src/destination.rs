//! Destinations: where a backup is published, and from where it is fetched. The contract, one file for each, and the
//! registry.

mod configured;
mod contract;
mod name;
pub mod registry;
mod s3;
mod ssh;

pub use configured::{ConfiguredDestination, DestinationChoice, DestinationEntry};
pub use contract::{Definition, Destination, Listed, Listing, Moved, Operation, Upload};
pub use name::ObjectName;
pub(crate) use s3::credentials as s3_credentials;

#[cfg(test)]
mod tests;
