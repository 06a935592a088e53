//! What happens during a run, for whoever shows it. Nothing below the command line prints.

use reports::record::Trial;

/// Something that happened.
pub enum Event<'a> {
    /// A leftover was cleaned, a resume began, and such.
    Note(String),
    /// A dataset is being generated.
    Generating {
        /// The name of its profile.
        profile: &'a str,
        /// Bytes that it will have, about.
        target_bytes: u64,
        /// Bytes written so far.
        bytes: u64,
    },
    /// A dataset is being calibrated or its digest taken.
    Preparing(String),
    /// A trial begins.
    TrialStarted {
        /// Counts from 1.
        number: usize,
        /// Trials in all.
        of: usize,
        /// The trial.
        id: &'a str,
        /// About how long all that is left takes, in seconds.
        seconds_left: f64,
    },
    /// A trial goes on.
    Status(Status),
    /// A trial has ended and its record is saved.
    TrialFinished(&'a Trial),
}

/// The state of the running trial.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The phase.
    pub phase: &'static str,
    /// Time since the trial began.
    pub seconds: f64,
    /// Writes acknowledged in the last second or so, a second; `None` while nothing writes.
    pub writes_per_second: Option<f64>,
    /// Bytes of the artifact so far; `None` outside the backup.
    pub artifact_bytes: Option<u64>,
    /// What is left of the backup, from 1 to 0.
    pub backup_remaining: Option<f64>,
}

/// Who is told.
pub type Observer<'a> = &'a (dyn Fn(Event<'_>) + Sync);
