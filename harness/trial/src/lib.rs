//! TODO(lib)

pub mod availability;
pub mod plan;
pub mod run;
pub mod scenario;
pub mod trial;
