//! What the outputs of a gate are made from.

use crate::gate::Comparison;
use crate::record::Results;

/// All findings of a gate: the run that is judged, and its comparisons.
pub struct Findings<'a> {
    /// The run that is judged.
    pub results: &'a Results,
    /// The comparisons with a baseline and of pairs within the run; empty where nothing was compared.
    pub comparisons: &'a [Comparison],
}
