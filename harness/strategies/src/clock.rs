//! The time that a watch goes by, as a value: a test moves it forward itself.

use std::time::Duration;

use machine::measure::clock::now_ns;

/// A source of time.
pub trait Clock: Send + Sync {
    /// The time now, in nanoseconds of the common clock.
    fn now_ns(&self) -> u64;

    /// Lets this time pass.
    fn sleep(&self, time: Duration);
}

/// The clock of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
