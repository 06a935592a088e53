//! Faults: what goes wrong on purpose, at a named moment of a trial. The contract, one file for each, and the registry.

mod choice;
mod configured;
mod contract;
pub mod registry;
mod scene;

pub use choice::{FaultChoice, NONE};
pub use configured::{ConfiguredFault, FaultEntry};
pub use contract::{Definition, Fault, Injected, Moment, Prepared, Separates, Stops};
pub use scene::Scene;
