//! Database engines and the applications on them: how a dataset is made, a subject provisioned, started, stopped and
//! killed, how a client writes and how the verifier reads. One folder for each engine; their images.
//!
//! Nothing here knows a strategy or a trial.

pub mod access;
pub mod applications;
mod cache;
pub mod client;
pub mod configuration;
pub mod database;
mod descriptors;
mod disk;
pub mod engine;
pub mod error;
pub mod files;
pub mod images;
pub mod instance;
pub mod log_events;
pub mod mariadb;
pub mod mode;
pub mod mysql;
mod ports;
mod random;
pub mod registry;
pub mod secret;
pub mod settings;
pub mod source;
pub mod sqlite;
pub mod subject;
pub mod subject_section;
