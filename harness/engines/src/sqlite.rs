//! TODO(mod)

pub mod client;
pub mod dataset;
pub mod generate;
pub mod inspection;
pub mod log_watch;
pub mod own;
pub mod pages;
pub mod reader;
