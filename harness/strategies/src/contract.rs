//! The contract of a strategy: what it is, what it can do, what it is given, and what it returns.

pub mod abilities;
pub mod configured;
pub mod context;
pub mod failure;
pub mod measured;
pub mod outcome;
pub mod promise;
pub mod replication;
pub mod strategy;

pub use abilities::{
    Abilities, Chain, Continuous, OwnProgram, Placement, PointInTime, Retention, UserCommands,
};
pub use configured::{ConfiguredStrategy, StrategyEntry};
pub use context::{BackupContext, Equipment, RestoreContext};
pub use failure::{FailureCause, StrategyFailure};
pub use measured::{Measured, Passes};
pub use outcome::{BackupOutcome, BackupResult, RestoreResult};
pub use promise::{Keeps, Kept, Moments, Promise};
pub use replication::Replication;
pub use strategy::{Card, Cost, Definition, Family, OnEngine, Settings, Strategy};
