//! TODO(mod)

pub mod client;
pub mod connection;
pub mod dataset;
pub mod options;
pub mod reader;
pub mod server;
