//! What strategies promise, and which writes a restored database must contain because of that.

use std::time::Duration;

/// What a strategy promises.
#[derive(Clone, Copy)]
pub struct Promise {
    /// As text, for listings and reports.
    pub text: &'static str,
    /// Which writes the restored database contains.
    pub keeps: Keeps,
}

impl Promise {
    /// True when nothing is promised: the strategy is a negative control.
    pub fn is_none(&self) -> bool {
        matches!(self.keeps, Keeps::Nothing)
    }

    /// The writes that a database restored to the last possible moment must contain, in a trial with these moments.
    pub fn kept(&self, moments: &Moments) -> Kept {
        let acknowledged_before_ns = match self.keeps {
            Keeps::Nothing => None,
            Keeps::Earlier => Some(moments.backup_began_ns),
            Keeps::AllBut { last } => Some(moments.disaster_ns.saturating_sub(last.as_nanos() as u64)),
        };
        Kept { acknowledged_before_ns, sent_after_ns: None }
    }
}

/// Which acknowledged writes a strategy promises to keep.
#[derive(Clone, Copy)]
pub enum Keeps {
    /// None: a negative control.
    Nothing,
    /// Those acknowledged before the backup was called.
    Earlier,
    /// Those acknowledged before the disaster, except the last ones.
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
    /// When the backup that is restored began and ended, if it is an older one.
    pub older_backup_ns: Option<(u64, u64)>,
    /// The disaster.
    pub disaster_ns: u64,
}

/// Which writes a restored database must and must not contain, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Every write acknowledged before this moment is present; `None`: nothing is promised.
    pub acknowledged_before_ns: Option<u64>,
    /// No write sent at or after this moment is present, because of a point-in-time recovery; `None`: no such limit.
    pub sent_after_ns: Option<u64>,
}
