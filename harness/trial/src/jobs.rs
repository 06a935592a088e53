//! All jobs that a worker process can do.

use machine::measure::memory::TouchMemory;
use machine::worker::{self, JobEntry};
use strategies::strategy::Work;

/// The whole life of a worker. Returns its exit code.
pub fn main() -> i32 {
    let mut jobs = engines::registry::jobs();
    jobs.extend([JobEntry::of::<TouchMemory>(), JobEntry::of::<Work>()]);
    worker::main(&jobs)
}
