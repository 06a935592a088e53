//! Whose fault it was, decided in one place and by type.
//!
//! | who | says so by | inside a trial | outside, and exit code |
//! | --- | --- | --- | --- |
//! | the user | [`Error::Input`] | ends the run | bad usage or input: 2 |
//! | the machine: the operating system, Docker, a command of the harness's own | [`Error::Environment`] | `unverified`, the next trial goes on | the run cannot be: 4 |
//! | the application: does not start, does not stop, ends by itself | [`Error::Environment`] from a [`Subject`](engines::subject::Subject); `Evidence::died` | `unverified`; where a restored database is what it does not serve: `corrupt` when a check of that fails | (there is none) |
//! | the strategy: its tool or worker reports an error, it gives up | [`Halt::Failed`](strategies::halt::Halt) | `failed` | (there is none) |
//! | the strategy: too slow | [`Halt::Stalled`](strategies::halt::Halt), [`Halt::TimedOut`](strategies::halt::Halt) | `stalled`, `timed_out` | (there is none) |
//! | the verifier: crashes, cannot read | `Evidence::verifier_error` | `unverified` | (there is none) |
//! | the harness | [`Error::Bug`], a panic | ends the run | a bug: 70 |
//! | the user's wish to stop | [`Error::Interrupted`] | ends the run, to be resumed | 130 |
//!
//! What becomes an [`Error`] of which kind is said where it arises, or by the type of what lies beneath it (`From` in
//! `error.rs`, of [`Unsuccessful`](machine::process::Unsuccessful) and [`Unstarted`](machine::process::Unstarted)). No
//! conversion makes [`Halt::Failed`](strategies::halt::Halt) of an [`Error`]: a strategy is blamed for what was
//! said to be its failure, and for nothing else. What is seen to be wrong with a restored database stands, whatever
//! happened besides (`verdict.rs`).

use machine::error::{Error, Result};

/// What an error that no strategy is to blame for comes to inside a trial: why the trial proves nothing.
///
/// # Errors
/// The error itself where it ends the run.
pub fn obstacle(phase: &str, error: Error) -> Result<String> {
    match error {
        Error::Environment(cause) => Ok(format!("in the phase '{phase}': {cause}")),
        Error::Input(_) | Error::Interrupted | Error::Bug(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_the_machine_refuses_ends_the_trial_alone() {
        let reason = obstacle("settle", Error::Environment("no space left".into())).unwrap();
        assert_eq!(reason, "in the phase 'settle': no space left");
    }

    #[test]
    fn what_no_other_trial_would_do_without_ends_the_run() {
        let ends = |error| obstacle("backup", error).unwrap_err();
        assert!(matches!(ends(Error::Input("no such profile".into())), Error::Input(_)));
        assert!(matches!(ends(Error::Bug(anyhow!("a count is off"))), Error::Bug(_)));
        assert!(matches!(ends(Error::Interrupted), Error::Interrupted));
    }
}
