//! Defects of backup tools that recorded trials found.
//!
//! The verdict of a trial comes from the ledger, so a defect is found without being known. Only then are the findings
//! compared with the list of issues that are known upstream.

mod find;
mod page;
mod upstream;

pub use find::{Defect, find};
pub use page::markdown;
pub use upstream::{UPSTREAM, Upstream};
