//! Why a strategy ended without success, and whose fault that was: told by type, never by how an error was wrapped.

use crate::error::Error;
use crate::process::{Unstarted, Unsuccessful};

/// Why a strategy ended without success.
#[derive(Debug)]
pub enum Halt {
    /// It did not get further any more: for how long, by which setting.
    Stalled(String),
    /// The deadline passed.
    TimedOut,
    /// The strategy failed: its tool or its worker reported an error, or it gives up itself. Nothing becomes this that
    /// was not said to be.
    Failed(String),
    /// The subject lacks what the strategy needs: what, and how to get it.
    Unavailable(String),
    /// It was not the strategy that failed.
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Error(error)
    }
}

impl From<Unstarted> for Halt {
    fn from(unstarted: Unstarted) -> Halt {
        Halt::Error(unstarted.into())
    }
}

impl From<Unsuccessful> for Halt {
    /// What a strategy's tool or worker reports is the strategy's failure, of whatever kind it is: a full disk or a lock
    /// that it does not get is what its operator would meet. That a worker does not get to a report is not.
    fn from(unsuccessful: Unsuccessful) -> Halt {
        match unsuccessful {
            Unsuccessful::Reported(failure) => Halt::Failed(failure.to_string()),
            Unsuccessful::Ended(message) => Halt::Failed(message),
            Unsuccessful::Killed(_) | Unsuccessful::Crashed(_) => Halt::Error(unsuccessful.into()),
        }
    }
}
