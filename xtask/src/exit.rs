//! Exit codes.

use std::process::ExitCode;

use machine::error::{Error, Result};
use reports::compare::Outcome;
use reports::printable;

/// Every strategy did what it promised, or what the scenario expects.
pub const SUCCESS: u8 = 0;
/// A strategy fell short of its promise, or regressed.
pub const FELL_SHORT: u8 = 1;
/// Bad usage or input: 2, as in most command line tools.
pub const INPUT: u8 = 2;
/// A trial or a comparison is inconclusive.
pub const INCONCLUSIVE: u8 = 3;
/// This machine lacks something that the command needs.
pub const ENVIRONMENT: u8 = 4;
/// A bug in Backup Drill.
pub const BUG: u8 = 70;
/// The user stopped it.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a command. Its error is printed here, once.
pub fn code(outcome: Result<u8>) -> ExitCode {
    let code = match outcome {
        Ok(code) => code,
        Err(error) => {
            let code = match error {
                Error::Input(_) => INPUT,
                Error::Environment(_) => ENVIRONMENT,
                Error::Interrupted => INTERRUPTED,
                Error::Bug(_) => BUG,
            };
            eprintln!("error: {}", printable(&error.to_string()));
            if code == BUG {
                eprintln!(
                    "this is a bug in Backup Drill, or unexpected behaviour of the operating system: please report it"
                );
            }
            code
        }
    };
    ExitCode::from(code)
}

/// Prints the parser's message. Wrong usage is bad input; a request for help is not an error.
pub fn usage(error: &clap::Error) -> ExitCode {
    // When standard output is closed, the help text cannot be printed: that is not an error.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { INPUT } else { SUCCESS })
}

/// The exit code of a run, or of trials that were verified again.
pub fn of_outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::AsPromised => SUCCESS,
        Outcome::FellShort => FELL_SHORT,
        Outcome::Unverified => INCONCLUSIVE,
        Outcome::Unavailable => ENVIRONMENT,
    }
}
