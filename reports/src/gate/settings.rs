//! What the gate counts as a change.

/// The confidence level of the intervals that are shown and that decide equivalence: two one-sided tests at 5 %.
pub const INTERVAL: f64 = 0.9;

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Times that differ by less than this share are equivalent: 0.1 is 10 %.
    pub margin: f64,
    /// The significance level: the share of comparisons without any change that may report a change nevertheless.
    pub level: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { margin: 0.1, level: 0.05 }
    }
}
