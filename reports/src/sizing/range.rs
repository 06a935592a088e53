//! Values with their uncertainty.

use serde::Serialize;

/// A value with its 90 % interval. Infinity, which is null in JSON, means never.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The predicted value.
    pub point: f64,
    /// Lower end: 5 % are below.
    pub low: f64,
    /// Upper end: 5 % are above.
    pub high: f64,
}

impl Range {
    /// Combines two ranges: value with value, and each end with the same end.
    pub(super) fn zip(self, other: Range, of: impl Fn(f64, f64) -> f64) -> Range {
        Range {
            point: of(self.point, other.point),
            low: of(self.low, other.low),
            high: of(self.high, other.high),
        }
    }
}
