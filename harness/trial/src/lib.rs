//! Scenarios, plans, trials and runs.
//!
//! Nothing here prints: a run emits events.

pub mod alert_trials;
pub mod availability;
pub mod crash_states;
mod deployment;
pub mod fault;
pub mod jobs;
pub mod plan;
pub mod run;
pub mod scenario;
pub mod stages;
pub mod trial;
