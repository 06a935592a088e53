//! What the exit code says.

use std::process::ExitCode;

use machine::error::{Error, Result};
use reports::compare::Outcome;
use reports::printable;

/// Every strategy did what it promised, or what the scenario expects of it.
pub const SUCCESS: u8 = 0;
/// A strategy fell short of its promise, or regressed.
pub const FELL_SHORT: u8 = 1;
/// Bad usage or input, as most tools have it.
pub const INPUT: u8 = 2;
/// A trial or a comparison proved nothing.
pub const INCONCLUSIVE: u8 = 3;
/// The environment lacks something that was asked for.
pub const ENVIRONMENT: u8 = 4;
/// A bug of ours.
pub const BUG: u8 = 70;
/// The user stopped it.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a command; its error is shown, once.
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
                    "this is a bug of Backup Drill, or a system that behaves as none should: please report it"
                );
            }
            code
        }
    };
    ExitCode::from(code)
}

/// Shows what the parser says; wrong usage is bad input, a question for help is none.
pub fn usage(error: &clap::Error) -> ExitCode {
    // A closed standard output takes no help text: that is no error.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { INPUT } else { SUCCESS })
}

/// The exit code of a run, or of trials that were judged again.
pub fn of_outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::AsPromised => SUCCESS,
        Outcome::FellShort => FELL_SHORT,
        Outcome::Unverified => INCONCLUSIVE,
        Outcome::Unavailable => ENVIRONMENT,
    }
}
