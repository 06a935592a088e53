//! Attribution of errors: who caused an error is decided in one place and by type.
//!
//! | cause | reported as | inside a trial | outside a trial, and exit code |
//! | --- | --- | --- | --- |
//! | the user | [`Error::Input`] | ends the run | bad usage or input: 2 |
//! | the machine: the operating system, Docker, a command that the harness runs | [`Error::Environment`] | `unverified`, the run continues with the next trial | the run is impossible: 4 |
//! | the application: does not start, does not stop, exits unexpectedly | [`Error::Environment`] from a [`Subject`](engines::subject::Subject); `Evidence::died` | `unverified`; `corrupt` if it does not respond on a restored database and a check of that database fails | (does not occur) |
//! | the strategy: its tool or worker reports an error, it gives up | [`FailureCause::Failed`](strategies::contract::FailureCause) | `failed` | (does not occur) |
//! | the strategy: too slow | [`FailureCause::Stalled`](strategies::contract::FailureCause), [`FailureCause::TimedOut`](strategies::contract::FailureCause) | `stalled`, `timed_out` | (does not occur) |
//! | the verifier: crashes, cannot read | `Evidence::verifier_error` | `unverified` | (does not occur) |
//! | the harness | [`Error::Bug`], a panic | ends the run | a bug: 70 |
//! | the user's request to stop | [`Error::Interrupted`] | ends the run, which can be resumed | 130 |
//!
//! The kind of an [`Error`] is chosen where it arises, or follows from the type of the underlying error (`From` in
//! `error.rs`, of [`ProcessError`](machine::process::ProcessError) and [`StartError`](machine::process::StartError);
//! [`engines::error`] for databases). No
//! conversion turns an [`Error`] into [`FailureCause::Failed`](strategies::contract::FailureCause): a strategy is blamed only for
//! errors that were explicitly reported as its failure. A defect found in a restored database counts, whatever else
//! happened (`verdict.rs`).

use machine::error::{Error, Result};

/// The reason why a trial is unverified after an error that the strategy did not cause.
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
    fn an_error_of_the_machine_ends_only_the_trial() {
        let reason = obstacle("settle", Error::Environment("no space left".into())).unwrap();
        assert_eq!(reason, "in the phase 'settle': no space left");
    }

    #[test]
    fn an_error_that_affects_all_trials_ends_the_run() {
        let ends = |error| obstacle("backup", error).unwrap_err();
        assert!(matches!(ends(Error::Input("no such profile".into())), Error::Input(_)));
        assert!(matches!(ends(Error::Bug(anyhow!("a count is off"))), Error::Bug(_)));
        assert!(matches!(ends(Error::Interrupted), Error::Interrupted));
    }
}
