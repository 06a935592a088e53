//! What the rows show about one write.

use crate::ledger::{Entry, Outcome};

/// What the torrents that a write stamped show about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// At least one has its stamp, and none lacks it.
    Held,
    /// One has its stamp and another lacks it.
    Torn,
    /// None has its stamp, and at least one lacks it.
    Absent,
    /// The rows do not show it: later writes have overwritten all of them, or the count would be the same either way.
    Overwritten,
}

/// True when a write may or may not be present: it has no answer, and later writes have overwritten all of its
/// torrents.
pub(super) fn is_undecided(entry: Entry, evidence: Evidence) -> bool {
    entry.outcome == Outcome::Indeterminate && evidence == Evidence::Overwritten
}

/// True when a write counts as present: it was acknowledged and no row contradicts that, or it has no answer but its
/// stamp is present.
pub(super) fn is_in(entry: Entry, evidence: Evidence) -> bool {
    match entry.outcome {
        Outcome::Acknowledged(_) => evidence != Evidence::Absent,
        Outcome::Indeterminate => matches!(evidence, Evidence::Held | Evidence::Torn),
        Outcome::Refused(_) => false,
    }
}
