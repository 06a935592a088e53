//! Clocks, counters and samples.

pub mod calibration;
pub mod clock;
pub mod device;
pub mod extents;
pub mod host;
pub mod latencies;
pub mod memory;
pub mod storage;
