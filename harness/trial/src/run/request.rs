//! What is to be run, and where its results go.

use std::path::PathBuf;

pub use machine::workspace::RESULTS;

use crate::plan::Plan;
use crate::trial::Keep;

/// What is to be run.
pub struct Request {
    /// The plan.
    pub plan: Plan,
    /// The directory of datasets, working copies and results.
    pub root: PathBuf,
    /// The directory of the results; a new directory below `root` when absent.
    pub out: Option<PathBuf>,
    /// Whether the link `latest` is set to this run; not for a run that is a part of another run.
    pub is_newest: bool,
    /// Continue the run in `out` or `latest`: trials that have a record are not repeated.
    pub resume: bool,
    /// Which trials' evidence is kept.
    pub keep: Keep,
    /// Limit of the evidence that is kept of the whole run, in bytes.
    pub keep_bytes: u64,
    /// The command line that repeats this run.
    pub command: String,
    /// The version of this program.
    pub harness_version: String,
}

/// The link to the newest results directory.
pub const LATEST: &str = "latest";
