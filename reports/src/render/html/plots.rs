//! The pictures of the page, as SVG.

use crate::record::{Results, Trial};

/// The course of a trial.
pub(super) fn timeline(_trial: &Trial) -> Option<String> {
    None
}

/// The pictures of a run.
pub(super) fn of_run(_results: &Results) -> Vec<String> {
    Vec::new()
}
