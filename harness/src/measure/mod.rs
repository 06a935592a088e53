//! Clocks, counters and samples.

pub mod calibration;
pub mod clock;
pub mod extents;
pub mod host;
pub mod impact;
pub mod latencies;
pub mod log_watch;
pub mod memory;
pub mod sampler;
pub mod storage;
