//! Everything that makes a trial happen: scenario, plan, trial, record.

pub mod dataset;
pub mod error;
pub mod event;
pub mod measure;
pub mod plan;
pub mod process;
pub mod run;
pub mod scenario;
pub mod strategy;
pub mod subject;
pub mod trial;
pub mod verify;
pub mod worker;
pub mod workload;
pub mod workspace;
