//! Events during a run, for progress displays and logs. Only the command line crate prints.

use reports::record::Trial;

/// An event.
pub enum Event<'a> {
    /// A message, for example that a leftover was removed or a run is resumed.
    Note(String),
    /// A dataset is being generated.
    Generating {
        /// The name of its profile.
        profile: &'a str,
        /// Its approximate size in bytes when it is complete.
        target_bytes: u64,
        /// Bytes written so far.
        bytes: u64,
    },
    /// A preparation began, for example a calibration, a digest, or building an image.
    Preparing(String),
    /// A trial begins.
    TrialStarted {
        /// Number of the trial, from 1.
        number: usize,
        /// Total number of trials.
        of: usize,
        /// Id of the trial.
        id: &'a str,
        /// Estimated time until the end of the run, in seconds.
        seconds_left: f64,
    },
    /// The state of the running trial, sent repeatedly.
    Status(Status),
    /// A trial has ended and its record is saved.
    TrialFinished(&'a Trial),
}

/// The state of the running trial.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The phase.
    pub phase: &'static str,
    /// Time since the trial began, in seconds.
    pub seconds: f64,
    /// Acknowledged writes/s over about the last second; `None` while there is no workload.
    pub writes_per_second: Option<f64>,
    /// Bytes of the artifact so far; `None` outside the backup.
    pub artifact_bytes: Option<u64>,
    /// Remaining share of the backup, from 1 to 0.
    pub backup_remaining: Option<f64>,
}

/// Receives events.
pub type Observer<'a> = &'a (dyn Fn(Event<'_>) + Sync);
