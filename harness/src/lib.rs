//! Everything needed to run trials: scenario, plan, trial, record.

pub mod availability;
pub mod configuration;
pub mod container;
pub mod dataset;
pub mod docker;
pub mod error;
pub mod event;
pub mod file_system;
pub mod images;
pub mod measure;
pub mod mysql;
pub mod plan;
pub mod process;
pub mod program;
pub mod quantity;
pub mod removal;
pub mod run;
pub mod scenario;
pub mod strategy;
pub mod subject;
pub mod trial;
pub mod verify;
pub mod wheel;
pub mod worker;
pub mod workload;
pub mod workspace;
