//! Claims about backups, and whether recorded trials confirm them.
//!
//! A claim is data: a statement, its source, which trials test it, and a function that judges these trials. A claim
//! that no trial tests is never confirmed: its finding is "not tested", and the function is not called.

mod assess;
mod away;
mod claim;
mod copies;
mod field;
mod finding;
mod load;
mod medians;
mod page;
mod stepping;

pub use assess::{Assessed, assess};
pub use claim::Claim;
pub use field::CLAIMS;
pub use finding::{Answer, Finding};
pub use page::markdown;
pub(crate) use page::runs_table;
