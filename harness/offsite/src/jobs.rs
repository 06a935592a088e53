//! The stages as worker jobs, each in a process of its own, so that CPU time and memory of each are measured. No job
//! carries a secret: credentials reach a worker by its environment and by files.

mod collect;
mod fetch;
mod pack;
mod publish;
mod ship;
mod transform;
mod unpack;
mod withdraw;

pub use collect::Collect;
pub use fetch::{Fetch, Fetched, Which};
use machine::worker::JobEntry;
pub use pack::Pack;
pub use publish::{Publish, Published};
pub use ship::Ship;
pub use transform::Transform;
pub use unpack::Unpack;
pub use withdraw::Withdraw;

use crate::server::ServeS3;

/// All jobs of this crate, the servers for trials included.
pub const JOBS: &[JobEntry] = &[
    JobEntry::of::<Collect>(),
    JobEntry::of::<Fetch>(),
    JobEntry::of::<Pack>(),
    JobEntry::of::<Publish>(),
    JobEntry::of::<ServeS3>(),
    JobEntry::of::<Ship>(),
    JobEntry::of::<Transform>(),
    JobEntry::of::<Unpack>(),
    JobEntry::of::<Withdraw>(),
];

#[cfg(test)]
mod tests;
