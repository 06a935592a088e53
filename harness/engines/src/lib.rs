//! Database engines and the applications on them: how a dataset is made, a subject provisioned, started, stopped and
//! killed, how a client writes and how the verifier reads. One folder for each engine; their images.
//!
//! Nothing here knows a strategy or a trial.

pub mod application;
pub mod cache;
pub mod configuration;
pub mod database;
pub mod descriptors;
pub mod error;
pub mod images;
pub mod kinds;
pub mod mysql;
pub mod sqlite;
pub mod subject;
pub mod tracker;
