//! Why a strategy ended without success, and whose fault that was: told by type, never by how an error was wrapped.

use std::time::Duration;

use crate::error::Error;

/// Why a strategy ended without success.
#[derive(Debug)]
pub enum Halt {
    /// What remains has not reached a new low for this long.
    Stalled(Duration),
    /// The deadline passed.
    TimedOut,
    /// The strategy reported an error.
    Failed(String),
    /// It was not the strategy that failed.
    Error(Error),
}

impl From<Error> for Halt {
    /// What the machine or the application refuses to a strategy is that trial's result; the run goes on.
    fn from(error: Error) -> Halt {
        match error {
            Error::Input(message) | Error::Environment(message) => Halt::Failed(message),
            Error::Interrupted | Error::Bug(_) => Halt::Error(error),
        }
    }
}
