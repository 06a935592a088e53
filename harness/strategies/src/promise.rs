//! What strategies promise, and what a restored database is held to.

use std::time::Duration;

/// What a strategy is held to.
#[derive(Clone, Copy)]
pub struct Promise {
    /// In words.
    pub text: &'static str,
    /// Which writes are in the restored database.
    pub keeps: Keeps,
}

impl Promise {
    /// True when nothing is promised: it is there to show that the verifier has teeth.
    pub fn is_none(&self) -> bool {
        matches!(self.keeps, Keeps::Nothing)
    }
}

/// Which acknowledged writes a strategy promises to keep.
#[derive(Clone, Copy)]
pub enum Keeps {
    /// None: a control.
    Nothing,
    /// Those acknowledged before the backup was called.
    Earlier,
    /// Those acknowledged until the disaster, but for the last ones.
    AllBut {
        /// How long before the disaster an acknowledged write may be lost.
        last: Duration,
    },
}

/// When things happened in a trial, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// The call to `backup`.
    pub backup_began_ns: u64,
    /// The disaster.
    pub disaster_ns: u64,
}

/// What a restored database is held to, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Every write acknowledged before this is in; `None`: nothing is promised.
    pub acknowledged_before_ns: Option<u64>,
    /// No write sent from this on is in: a point in time was asked for.
    pub sent_after_ns: Option<u64>,
}
