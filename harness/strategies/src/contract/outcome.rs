//! What came of a backup or a restore.

use super::failure::StrategyFailure;
use super::measured::Measured;

/// A backup that is complete, or why there is none.
pub type BackupResult = Result<BackupOutcome, StrategyFailure>;

/// What was measured of a restore that is complete, or why there is none.
pub type RestoreResult = Result<Measured, StrategyFailure>;

/// A backup that is complete.
#[derive(Clone, Debug)]
pub struct BackupOutcome {
    /// When the artifact was durable, in nanoseconds of the common clock.
    pub durable_ns: u64,
    /// What was measured.
    pub measured: Measured,
}
