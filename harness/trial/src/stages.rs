//! The stages of a trial between backup and disaster: how the artifact is transformed, and where it is published.

mod choice;
mod configured;
mod provided;

pub use choice::{NONE, StageChoice};
pub use configured::ConfiguredStages;
pub use provided::{Provided, Server, tools};
