//! One clock for all processes of a trial.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: the same clock in every process of this machine, and never 0.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// The time between two readings of [`now_ns`], in seconds; 0 when `from_ns` is the later one.
pub fn seconds_between(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}

/// The time of day at a reading of [`now_ns`], in nanoseconds since 1970. Within one process, the difference of the two
/// clocks is read once and then stays the same.
pub fn wall_ns(monotonic_ns: u64) -> u64 {
    monotonic_ns.wrapping_add(wall_offset())
}

/// The reading of [`now_ns`] at a time of day.
pub fn monotonic_ns(wall_ns: u64) -> u64 {
    wall_ns.wrapping_sub(wall_offset())
}

/// The reading of [`now_ns`] at the time of a file; `None` before 1970.
pub fn monotonic_ns_of(time: SystemTime) -> Option<u64> {
    let wall_ns = time.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(monotonic_ns(wall_ns as u64))
}

fn wall_offset() -> u64 {
    static OFFSET: OnceLock<u64> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let wall = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME exists on every Linux");
        (wall.tv_sec() as u64 * 1_000_000_000 + wall.tv_nsec() as u64).wrapping_sub(now_ns())
    })
}

/// A period of time, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from_ns: u64,
    /// Its end, not included.
    pub to_ns: u64,
}

impl Span {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        seconds_between(self.from_ns, self.to_ns)
    }

    /// True if a moment is in it.
    pub fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }

    /// True if it overlaps with the time from `from_ns` to `to_ns`, both included.
    pub fn overlaps(&self, from_ns: u64, to_ns: u64) -> bool {
        from_ns < self.to_ns && to_ns >= self.from_ns
    }
}
