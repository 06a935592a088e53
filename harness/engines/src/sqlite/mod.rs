//! SQLite.

mod access;
mod cache;
mod checkpointer;
pub mod client;
pub mod database;
pub mod dataset;
mod engine;
mod files;
pub mod generate;
mod inspection;
mod instance;
pub mod live_file;
mod log_watch;
pub mod modes;
pub mod own;
mod pages;
pub mod reader;
pub mod settings;

/// SQLite.
pub struct Sqlite;
