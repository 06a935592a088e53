//! All jobs that a worker process can do.

use engines::application::Application;
use engines::database::{Digest, Unwritten, Verify};
use engines::error::attributed;
use engines::sqlite::inspection::Inspect;
use engines::sqlite::own::{Adopt, CopyOnline};
use machine::measure::memory::TouchMemory;
use machine::worker::{self, JobEntry};
use strategies::registry;

/// Those of the harness; strategies have their own.
const JOBS: &[JobEntry] = &[
    JobEntry::of::<Adopt>(),
    JobEntry::of::<Application>(),
    JobEntry::of::<CopyOnline>(),
    JobEntry::of::<Digest>(),
    JobEntry::of::<Inspect>(),
    JobEntry::of::<TouchMemory>(),
    JobEntry::of::<Unwritten>(),
    JobEntry::of::<Verify>(),
];

/// The whole life of a worker. Returns its exit code.
pub fn main() -> i32 {
    worker::main(JOBS.iter().chain(registry::jobs()), attributed)
}
