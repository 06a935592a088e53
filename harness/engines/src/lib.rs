//! TODO(lib)

pub mod application;
pub mod cache;
pub mod configuration;
pub mod descriptors;
pub mod images;
pub mod mysql;
pub mod sqlite;
pub mod subject;
pub mod tracker;
