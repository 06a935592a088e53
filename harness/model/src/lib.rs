//! What a trial writes, and what must be there afterwards: rows, profiles, writes, their schedule, the ledger, and the six
//! checks on what an engine reads.
//!
//! Nothing here knows an engine, a process or a container: checks read through [`verify::reader::DatabaseReader`].

pub mod dataset;
pub mod ledger;
pub mod schedule;
pub mod verify;
pub mod writes;
