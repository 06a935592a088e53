//! The requests to stop: the user's, which every wait checks, and that of a scope to its threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often waits check for cancellation, deadline and stall. No measurement depends on it: the end of a process wakes
/// its waiter at once.
pub const TICK: Duration = Duration::from_millis(50);

/// The user's request to stop, which every wait checks.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks everything to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True after [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Interrupted`] after [`Cancel::cancel`] was called.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sleeps until `until`, or until the user asks to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after [`Cancel::cancel`] was called.
    pub fn sleep_until(&self, until: Instant) -> Result<()> {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.check()?;
            std::thread::sleep(left.min(TICK));
        }
        self.check()
    }
}

/// Tells the threads of a scope to stop when the code that started them ends, also by an early return or a panic.
/// Without it, the scope would wait forever for threads that run until they are told to stop.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
