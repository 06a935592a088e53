//! TODO(lib)

pub mod container;
pub mod docker;
pub mod error;
pub mod event;
pub mod file_system;
pub mod get;
pub mod measure;
pub mod process;
pub mod program;
pub mod quantity;
pub mod removal;
pub mod tool;
pub mod wheel;
pub mod worker;
pub mod workspace;
