//! Why a strategy ended without success, and whose fault that was: told by type, never by how an error was wrapped.

use machine::error::Error;
use machine::process::{Unstarted, Unsuccessful};

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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use machine::worker::Failure;

    fn blamed(halt: impl Into<Halt>) -> &'static str {
        match halt.into() {
            Halt::Failed(_) => "strategy",
            Halt::Error(Error::Input(_)) => "user",
            Halt::Error(Error::Environment(_)) => "machine",
            Halt::Error(Error::Bug(_)) => "harness",
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
    fn what_its_tool_or_worker_reports_is_the_strategys_and_what_becomes_of_a_worker_is_not() {
        let said = || "database is locked".to_owned();
        assert_eq!(blamed(Unsuccessful::Ended(said())), "strategy");
        for failure in [Failure::Bug(said()), Failure::Environment(said()), Failure::Input(said())] {
            assert_eq!(blamed(Unsuccessful::Reported(failure)), "strategy");
        }
        assert_eq!(blamed(Unsuccessful::Killed("'copy' ended with signal: 9".into())), "machine");
        assert_eq!(blamed(Unsuccessful::Crashed("'copy' ended with exit status: 101".into())), "harness");
    }
}
