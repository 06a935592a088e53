//! Why a strategy ended without success, and who is responsible. The type tells, never how an error was wrapped.

use std::fmt;

use machine::error::Error;
use machine::process::{ProcessError, StartError};

use super::measured::Measured;

/// A backup or restore that ended without success. Any cause other than an error of the machine comes from the watch,
/// which knows what was measured until then.
#[derive(Debug)]
pub struct StrategyFailure {
    /// Why it ended.
    pub cause: FailureCause,
    /// What was measured until then.
    pub measured: Box<Measured>,
}

/// Why a strategy ended without success.
#[derive(Debug)]
pub enum FailureCause {
    /// It made no more progress: for how long, and by which setting.
    Stalled(String),
    /// The deadline passed.
    TimedOut,
    /// The strategy failed: its tool or its worker reported an error, or the strategy itself gave up. No other error is
    /// converted to this implicitly.
    Failed(String),
    /// The subject lacks something that the strategy needs: what, and how to get it.
    Unavailable(String),
    /// An error of the harness, the machine or the user, not of the strategy.
    Error(Error),
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureCause::Stalled(reason) => f.write_str(reason),
            FailureCause::TimedOut => f.write_str("not complete at the deadline"),
            FailureCause::Failed(message) | FailureCause::Unavailable(message) => f.write_str(message),
            FailureCause::Error(error) => error.fmt(f),
        }
    }
}

impl From<Error> for StrategyFailure {
    fn from(error: Error) -> StrategyFailure {
        StrategyFailure { cause: error.into(), measured: Box::default() }
    }
}

impl From<StartError> for StrategyFailure {
    fn from(unstarted: StartError) -> StrategyFailure {
        Error::from(unstarted).into()
    }
}

impl From<Error> for FailureCause {
    fn from(error: Error) -> FailureCause {
        FailureCause::Error(error)
    }
}

impl From<ProcessError> for FailureCause {
    /// An error that a strategy's tool or worker reports is the strategy's failure, of whatever kind it is: its
    /// operator would see the same full disk or lock timeout. A worker that dies without a report is not the strategy's
    /// failure.
    fn from(unsuccessful: ProcessError) -> FailureCause {
        match unsuccessful {
            ProcessError::Reported(failure) => FailureCause::Failed(failure.to_string()),
            ProcessError::Ended(message) => FailureCause::Failed(message),
            ProcessError::Killed(_) | ProcessError::Crashed(_) => FailureCause::Error(unsuccessful.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use machine::worker::Failure;

    fn blamed(cause: impl Into<FailureCause>) -> &'static str {
        match cause.into() {
            FailureCause::Failed(_) => "strategy",
            FailureCause::Error(Error::Input(_)) => "user",
            FailureCause::Error(Error::Environment(_)) => "machine",
            FailureCause::Error(Error::Bug(_)) => "harness",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_error_of_the_harness_or_the_machine_becomes_the_strategys() {
        assert_eq!(blamed(Error::Input("no such profile".into())), "user");
        assert_eq!(blamed(Error::Environment("Docker is gone".into())), "machine");
        let full = anyhow::Error::from(std::io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(blamed(Error::from(full.context("cannot make a directory"))), "machine");
        assert_eq!(blamed(Error::from(anyhow!("a count is off"))), "harness");
    }

    #[test]
    fn a_reported_error_is_the_strategys_and_the_death_of_a_worker_is_not() {
        let said = || "database is locked".to_owned();
        assert_eq!(blamed(ProcessError::Ended(said())), "strategy");
        for failure in [Failure::Bug(said()), Failure::Environment(said()), Failure::Input(said())] {
            assert_eq!(blamed(ProcessError::Reported(failure)), "strategy");
        }
        assert_eq!(blamed(ProcessError::Killed("'copy' ended with signal: 9".into())), "machine");
        assert_eq!(blamed(ProcessError::Crashed("'copy' ended with exit status: 101".into())), "harness");
    }
}
