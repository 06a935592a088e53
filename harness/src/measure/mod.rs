//! Clocks, counters and samples.

pub mod clock;
