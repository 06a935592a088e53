//! All jobs that a worker process can do.

use engines::error::attributed;
use machine::measure::memory::TouchMemory;
use machine::worker::{self, JobEntry};

/// Those that are neither an engine's, a strategy's nor a stage's.
const JOBS: &[JobEntry] = &[JobEntry::of::<TouchMemory>()];

/// The whole life of a worker. Returns its exit code.
pub fn main() -> i32 {
    let offsite = offsite::jobs::JOBS.iter();
    let jobs =
        JOBS.iter().chain(offsite).chain(engines::registry::jobs()).chain(strategies::registry::jobs());
    worker::main(jobs, attributed)
}
